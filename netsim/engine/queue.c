#include "netsim/engine/queue.h"

const struct queue_profile queue_profile_plain = {.class_count = 1, .class = {{.quantum_bytes = 1}}};
