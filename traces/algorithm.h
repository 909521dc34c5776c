/* Readers of collective algorithms: see photonet/custom.h. */
#ifndef PHOTONET_TRACES_ALGORITHM_H
#define PHOTONET_TRACES_ALGORITHM_H

#include "photonet/custom.h"

/* Operations of all ranks beyond which a file is not looked at. */
#define CUSTOM_OPS_MAX (UINT32_C(1) << 22)

/* MSCCL's XML. */
bool msccl_head_is_xml(const uint8_t *head, size_t bytes);
enum status msccl_read(const char *path, struct arena *arena, const struct custom_collective **custom, struct diag *diag);

/* Chakra traces of sends and receives, one a rank. */
enum status chakra_collective_read(const char *path, struct arena *arena, const struct custom_collective **custom,
                                   struct diag *diag);

#endif
