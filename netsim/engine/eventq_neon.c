/* The event queue with 16-byte vectors, in plain vector types: runs on x86 as well, where nothing selects it. */
#define EVENTQ_BODY neon
#define EVENTQ_LANES 4
#include "netsim/engine/eventq_body.h"
