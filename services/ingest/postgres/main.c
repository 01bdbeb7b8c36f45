#include "../settings.h"
#include "sink.h"

int main(int argc, char **argv)
{
	return ingest_main(&postgres_sink, argc, argv);
}
