/* The one file that changes with every commit. */
#include "photonet/command.h"

#ifndef PHOTONET_COMMIT
#define PHOTONET_COMMIT "unknown"
#endif
#ifndef PHOTONET_FLAGS
#define PHOTONET_FLAGS ""
#endif

const char photonet_version[] = "0.1.0";
const char photonet_commit[] = PHOTONET_COMMIT;
#ifdef __clang__
const char photonet_compiler[] = "clang " __clang_version__ " " PHOTONET_FLAGS;
#else
const char photonet_compiler[] = "gcc " __VERSION__ " " PHOTONET_FLAGS;
#endif
