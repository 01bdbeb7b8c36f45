#include "publisher.h"
#include "service.h"

int main(int argc, char **argv)
{
	struct publisher_config config = {.node_name = NULL};
	struct dp_service service;
	int code = dp_service_init(&service, &settings_info, &config, argc, argv);
	if (code >= 0)
		return code;
	struct relay *relay = publisher_start(&service, &config);
	code = dp_service_run(&service, publisher_stop, publisher_health, relay);
	publisher_destroy(relay);
	return code;
}
