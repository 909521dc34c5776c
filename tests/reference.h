/* The reference engine: event-driven, one function per kind of event. It is what the product's engine must equal, digest
 * for digest (test_engine_window.c); its own times are checked against closed forms (test_engine.c). */
#ifndef PHOTONET_TESTS_REFERENCE_H
#define PHOTONET_TESTS_REFERENCE_H

#include "netsim/engine/engine.h"

extern const struct engine_class engine_plain;

#endif
