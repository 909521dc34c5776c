/* Profiles of transports: one parameter, transport.profile, that stands for a list of options of any section.
 *
 * The list is a table of the transport (transport.h); here it becomes settings that lie before those which the user gave, so
 * that whatever is set on the command line, in a fabric's file or in a preset wins, option by option. All that follows from
 * settings (the resolved configuration in the result file, the default balance) sees the values and need not know of profiles. */
#ifndef PHOTONET_PROFILE_H
#define PHOTONET_PROFILE_H

#include "netsim/transport/transport.h"
#include "photonet/trace.h"

struct profile_settings {
    const struct trace_setting *settings; /* the profile's, then the user's */
    size_t count;
};

/* An unknown profile is refused where it stands; `values` are the transport's, for its parameter `profile`. */
enum status profile_expand(const struct transport *transport, void *values, const struct trace_setting *settings,
                           size_t count, struct arena *arena, struct profile_settings *all, struct diag *diag);

/* The table of options and profiles with the reasons, for a page; nothing where there is none. */
void profile_print(const struct transport *transport, FILE *stream);

#endif
