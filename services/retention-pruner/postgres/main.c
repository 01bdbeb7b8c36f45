#include "../settings.h"
#include "postgres_ops.h"

int main(int argc, char **argv)
{
	return pruner_main(&postgres_ops, argc, argv);
}
