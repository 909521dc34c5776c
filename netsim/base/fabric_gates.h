#ifndef PHOTONET_BASE_FABRIC_GATES_H
#define PHOTONET_BASE_FABRIC_GATES_H

#include "photonet/fabric.h"

/* The part of fabric_validate that is about gates, lines and detours. */
enum status fabric_gates_validate(const struct fabric *fabric, struct diag *diag);

#endif
