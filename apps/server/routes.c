/* routes.c - every table of routes. */
#include <stddef.h>

#include "server.h"

extern const struct route service_routes[]; /* service.c: health, models, metrics, version */

const struct route *const route_tables[] = {service_routes, NULL};
