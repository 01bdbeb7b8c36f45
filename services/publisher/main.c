#include "relay.h"
#include "service.h"

int main(int argc, char **argv)
{
	struct publisher_config config = {.spill_after_ms = SETTINGS_AUTO};
	struct dp_service service;
	int code = dp_service_init(&service, &settings_info, &config, argc, argv);
	if (code >= 0)
		return code;
	settings_derive(&config);
	settings_warn(&config);
	struct relay *relay = relay_start(&service, &config);
	code = dp_service_run(&service, relay_stop, relay_health, relay);
	relay_destroy(relay);
	return code;
}
