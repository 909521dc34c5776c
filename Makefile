# Photonet. `make` builds, `make demo` runs the main job, `make check` runs the tests; both of the latter install
# what is missing first. Settings that a user may give: CC, BUILD, CFLAGS_EXTRA, PREFIX.

# ---- settings ------------------------------------------------------------------------------------------------
CC = gcc
BUILD = build
PREFIX = /usr/local
CFLAGS_EXTRA =
OPTIMISE = -O3

# ---- nothing below needs changing to add a file: sources are found by wildcard ---------------------------------
WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
HAVE_SIMGRID := $(if $(wildcard /usr/include/simgrid/engine.h),1,0)
PACKAGES = hdf5 yaml-0.1 jansson libxxhash zlib libprotobuf-c
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

CPPFLAGS = -Iinclude -I. -I$(BUILD)/gen -DPHOTONET_HAVE_SIMGRID=$(HAVE_SIMGRID) \
           $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
CFLAGS = -std=gnu11 -g $(OPTIMISE) -ffp-contract=off -fno-strict-aliasing $(WARN) $(CFLAGS_EXTRA)
LDLIBS = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lhdf5_hl -lm -lpthread $(if $(filter 1,$(HAVE_SIMGRID)),-lsimgrid)

# Instruction-set variants are named by their suffix; everything else runs on any machine of its kind.
%_avx2.o: CFLAGS += -mavx2 -mbmi2
%_avx512.o: CFLAGS += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mbmi2

PROTO_C = $(patsubst traces/%.proto,$(BUILD)/gen/traces/%.pb-c.c,$(wildcard traces/*.proto))
SOURCES = $(wildcard netsim/*.c netsim/*/*.c topologies/*.c traces/*.c analysis/*.c)
PRESETS = $(sort $(wildcard topologies/presets/*.yaml))
LIB_OBJECTS = $(patsubst %.c,$(BUILD)/%.o,$(filter-out netsim/main.c,$(SOURCES))) $(PROTO_C:.c=.o) \
              $(BUILD)/gen/topologies/presets.o
TEST_SUPPORT = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support_*.c))
TESTS = $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/test_*.c))
PHOTONET = $(BUILD)/photonet

.PHONY: all deps demo check bench stress asan layers golden install clean tests
.SUFFIXES:
.SECONDARY:

all: $(PHOTONET) $(BUILD)/libphotonet.a

$(PHOTONET): $(BUILD)/netsim/main.o $(BUILD)/libphotonet.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

$(BUILD)/libphotonet.a: $(LIB_OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/%.o: %.c | $(PROTO_C)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Generated code is not ours to warn about.
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -w -MMD -MP -c -o $@ $<

$(BUILD)/gen/traces/%.pb-c.c: traces/%.proto
	@mkdir -p $(@D)
	protoc-c --proto_path=traces --c_out=$(BUILD)/gen/traces $<

# The presets are compiled in, each line of YAML as a C string. The folder is named because files come and go.
$(BUILD)/gen/topologies/presets.c: $(PRESETS) topologies/presets Makefile
	@mkdir -p $(@D)
	@{ echo '#include "photonet/fabric.h"'; \
	   echo '#define PRESET(name_, text_) {name_, text_, sizeof(text_) - 1}'; \
	   echo 'const struct fabric_preset fabric_presets[] = {'; \
	   for file in $(PRESETS); do \
	       echo "    PRESET(\"$$(basename $$file .yaml)\","; \
	       sed 's/\\/\\\\/g; s/"/\\"/g; s/^/        "/; s/$$/\\n"/' $$file; \
	       echo '        ),'; \
	   done; \
	   echo '    {0, 0, 0}};'; } >$@

# What changes with every commit is compiled into one small file only.
$(BUILD)/netsim/version.o: CPPFLAGS += -DPHOTONET_COMMIT='"$(COMMIT)"'

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_SUPPORT) $(BUILD)/libphotonet.a
	$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS) -lcunit

tests: $(TESTS)

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d $(BUILD)/gen/*/*.d)

clean:
	rm -rf build build-*
