/* The JSON variant of Chakra traces: nodes of `workload_graph` as the protobuf messages that they stand for. */
#ifndef PHOTONET_TRACES_CHAKRA_JSON_H
#define PHOTONET_TRACES_CHAKRA_JSON_H

#include "traces/chakra.pb-c.h"

#include "photonet/arena.h"
#include "photonet/status.h"

#include <stdbool.h>
#include <stddef.h>

/* Whether a file begins with a JSON object and a key. */
bool chakra_head_is_json(const uint8_t *head, size_t bytes);

/* Gives every node to `take`, in order, in constant memory; a message is good until `take` returns. JSON that is no
 * Chakra trace (PyTorch's execution traces, group files) is refused by name. */
enum status chakra_json_read(const char *path, struct arena *arena,
                             enum status (*take)(void *context, const Chakra__Node *node), void *context,
                             struct diag *diag);

#endif
