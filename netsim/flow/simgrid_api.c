#if PHOTONET_HAVE_SIMGRID

#define _GNU_SOURCE /* RTLD_DEFAULT */
#include "netsim/flow/simgrid_api.h"

#include <dlfcn.h>
#include <simgrid/version.h>
#include <stdio.h>
#include <string.h>

#define TEXT_OF(x)  #x
#define TEXT_OF_(x) TEXT_OF(x)
/* The interface of the headers that this was compiled with. */
#define LIBRARY "libsimgrid.so." TEXT_OF_(SIMGRID_VERSION_MAJOR) "." TEXT_OF_(SIMGRID_VERSION_MINOR)

/* A function's address comes as a pointer to an object, which C does not convert. */
static bool symbol_find(void *library, const char *name, void *function, size_t function_bytes)
{
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        fprintf(stderr, "%s has no %s\n", LIBRARY, name);
        return false;
    }
    memcpy(function, &symbol, function_bytes);
    return true;
}

bool simgrid_api_load(struct simgrid_api *api)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL); /* global: simgrid_self_data looks for it by name */
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return false;
    }
    bool is_complete = true;
#define SIMGRID_FIND(name) is_complete &= symbol_find(library, #name, &api->name, sizeof api->name);
    SIMGRID_FUNCTIONS(SIMGRID_FIND)
#undef SIMGRID_FIND
    return is_complete;
}

void *simgrid_self_data(void)
{
    __typeof__(&sg_actor_self_get_data) self_data;
    return symbol_find(RTLD_DEFAULT, "sg_actor_self_get_data", &self_data, sizeof self_data) ? self_data() : NULL;
}

#endif
