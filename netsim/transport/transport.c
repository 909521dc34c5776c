/* The table of transports. */
#include "netsim/transport/transport.h"

#include <string.h>

#define TRANSPORT(name_) extern const struct transport transport_##name_;
#include "netsim/transport/transports.def"
#undef TRANSPORT

const struct transport *const transports[] = {
#define TRANSPORT(name_) &transport_##name_,
#include "netsim/transport/transports.def"
#undef TRANSPORT
    NULL,
};

const char *const *transport_profile_names(const struct transport *transport)
{
    const struct param *row = transport->profile_rows != NULL ? param_find(&transport->params, "profile") : NULL;
    return row != NULL ? row->choices : NULL;
}

const struct transport *transport_find(const char *name)
{
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        if (strcmp((*transport)->name, name) == 0) {
            return *transport;
        }
    }
    return NULL;
}
