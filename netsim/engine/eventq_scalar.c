/* The event queue in plain C. */
#define EVENTQ_BODY scalar
#define EVENTQ_LANES 1
#include "netsim/engine/eventq_body.h"
