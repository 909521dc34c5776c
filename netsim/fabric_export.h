/* A fabric as others read it: one line in fabric_exports and one function a format.
 *
 * Links between the same two nodes that are alike (rate and delay both ways) become one edge with their
 * number. A fibre that waits for a planner of circuits is an edge to its optical switch. */
#ifndef PHOTONET_FABRIC_EXPORT_H
#define PHOTONET_FABRIC_EXPORT_H

#include "photonet/fabric.h"

#include <stdio.h>

struct fabric_export {
    const char *name; /* "dot" */
    const char *summary;
    enum status (*write)(const struct fabric *fabric, struct arena *arena, FILE *stream, struct diag *diag);
};
extern const struct fabric_export fabric_exports[]; /* ends with name == NULL */
const struct fabric_export *fabric_export_find(const char *name);

#endif
