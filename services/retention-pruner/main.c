#include "settings.h"
#include "sqlite/sqlite_ops.h"

int main(int argc, char **argv)
{
	return pruner_main(&sqlite_ops, argc, argv);
}
