#include "settings.h"
#include "sqlite/sink.h"

int main(int argc, char **argv)
{
	return ingest_main(&sqlite_sink, argc, argv);
}
