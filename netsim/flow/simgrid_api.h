/* SimGrid's C interface, loaded when it is first asked for.
 *
 * libsimgrid brings ns-3 and Boost with it: 33 MB and 20 ms in every process that is linked to it. Only the process
 * that simulates flows pays for them now. The functions have the types of SimGrid's own headers, so a change of
 * its interface is found by the compiler. */
#ifndef PHOTONET_SIMGRID_API_H
#define PHOTONET_SIMGRID_API_H

#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <simgrid/host.h>
#include <simgrid/semaphore.h>
#include <stdbool.h>

#define SIMGRID_FUNCTIONS(X)                                                                                  \
    X(simgrid_init)                                                                                           \
    X(simgrid_load_platform)                                                                                  \
    X(simgrid_run)                                                                                            \
    X(simgrid_get_clock)                                                                                      \
    X(sg_host_by_name)                                                                                        \
    X(sg_host_sendto)                                                                                         \
    X(sg_actor_init)                                                                                          \
    X(sg_actor_start_)                                                                                        \
    X(sg_actor_set_data)                                                                                      \
    X(sg_actor_self_get_data)                                                                                 \
    X(sg_actor_sleep_until)                                                                                   \
    X(sg_sem_init)                                                                                            \
    X(sg_sem_acquire)                                                                                         \
    X(sg_sem_acquire_timeout)                                                                                 \
    X(sg_sem_release)

struct simgrid_api {
#define SIMGRID_MEMBER(name) __typeof__(&name) name;
    SIMGRID_FUNCTIONS(SIMGRID_MEMBER)
#undef SIMGRID_MEMBER
};

/* False with the reason on stderr. The library stays loaded. */
bool simgrid_api_load(struct simgrid_api *api);

/* The data of the actor that runs: what an actor's main function, which is given text only, finds everything by. */
void *simgrid_self_data(void);

#endif
