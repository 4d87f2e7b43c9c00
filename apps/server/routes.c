/* routes.c - every table of routes. */
#include <stddef.h>

#include "server.h"

extern const struct route service_routes[]; /* service.c: health, models, metrics, version */
extern const struct route page_routes[];    /* page.c: the page at / */

const struct route *const route_tables[] = {service_routes, page_routes, NULL};
