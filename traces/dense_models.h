/* The shapes of the dense models, for tests. Ends with NULL. */
#ifndef PHOTONET_TRACES_DENSE_MODELS_H
#define PHOTONET_TRACES_DENSE_MODELS_H

#include "traces/transformer.h"

extern const struct transformer_shape *const dense_shapes[];

#endif
