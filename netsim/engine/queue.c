#include "netsim/engine/engine.h"

const struct queue_profile queue_profile_plain = {.class_count = 1, .class = {{.quantum_bytes = 1}}};

/* The product ships one engine; a strong definition beside the reference takes the place of this one. */
const struct engine_class *const engine_reference __attribute__((weak)) = NULL;
