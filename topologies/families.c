/* The table of fabric families, from fabrics.def. The presets are compiled from presets/ by the Makefile. */
#include "photonet/fabric.h"

#include <string.h>

#define FABRIC(name_) extern const struct fabric_family fabric_##name_;
#include "topologies/fabrics.def"
#undef FABRIC

const struct fabric_family *const fabric_families[] = {
#define FABRIC(name_) &fabric_##name_,
#include "topologies/fabrics.def"
#undef FABRIC
    NULL,
};

const struct fabric_family *fabric_family_find(const char *name)
{
    for (const struct fabric_family *const *family = fabric_families; *family != NULL; family++) {
        if (strcmp((*family)->name, name) == 0) {
            return *family;
        }
    }
    return NULL;
}
