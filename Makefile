# Photonet. `make` builds, `make demo` runs the main job, `make check` runs the tests; both of the latter install
# what is missing first.

# ---- settings: may be given on the command line, as in `make CC=clang BUILD=build-clang` -------------------------
CC = gcc
BUILD = build
OPTIMISE = -O3
CFLAGS_EXTRA =
PREFIX = /usr/local
DESTDIR =
JOBS := $(shell nproc 2>/dev/null || echo 2)
# V=1 shows the commands.
V =

# ---- nothing below needs changing to add a file: sources are found by wildcard ---------------------------------
WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla
PACKAGES = hdf5 yaml-0.1 jansson libxxhash zlib libprotobuf-c expat
HAVE_SIMGRID := $(if $(wildcard /usr/include/simgrid/engine.h),1,0)
LIB_CFLAGS := $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LIB_LIBS := $(shell pkg-config --libs $(PACKAGES) 2>/dev/null)
COMMIT := $(shell git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)
VERSION := $(shell sed -n 's/.*photonet_version.*"\(.*\)".*/\1/p' netsim/version.c)
SOVERSION = 0

# Position-independent with hidden symbols: one set of objects serves program, archive and shared library, and calls
# inside it stay direct.
CPPFLAGS = -Iinclude -I. -I$(BUILD)/gen -DPHOTONET_HAVE_SIMGRID=$(HAVE_SIMGRID) $(LIB_CFLAGS)
CFLAGS = -std=gnu11 -g $(OPTIMISE) -fPIC -fvisibility=hidden -ffp-contract=off -fno-strict-aliasing $(WARN) \
         $(CFLAGS_EXTRA)
LDLIBS = $(LIB_LIBS) -lhdf5_hl -lm -lpthread
# HDF5 lies in the program where its archive is at hand: the shared library brings thirty others (curl, OpenSSL, Kerberos) that
# nobody calls here, 6 MB and 4 of the 6 ms that the program takes before main. Sanitizers know its leaks by its name.
ARCHIVE_LIBS = $(filter -L%,$(LDLIBS)) -l:libhdf5_hl.a -l:libhdf5.a -lsz $(filter-out -L% -lhdf5%,$(LDLIBS))
MAY_TAKE_ARCHIVES = $(if $(findstring sanitize,$(CFLAGS) $(OPTIMISE)),false,true)
FLAGS := $(CC) $(CPPFLAGS) $(CFLAGS)

# Instruction-set variants are named by their suffix; everything else runs on any machine of its kind.
ifeq ($(shell uname -m),x86_64)
%_avx2.o: private CFLAGS += -mavx2 -mbmi2
%_avx512.o: private CFLAGS += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512cd -mavx2 -mbmi2
endif

PROTO_C = $(patsubst traces/%.proto,$(BUILD)/gen/traces/%.pb-c.c,$(wildcard traces/*.proto))
SOURCES = $(wildcard netsim/*.c netsim/*/*.c topologies/*.c traces/*.c analysis/*.c)
PRESETS = $(sort $(wildcard topologies/presets/*.yaml))
MODELS = $(sort $(wildcard traces/models/*.yaml))
TRANSPORTS := $(shell sed -n 's|^TRANSPORT(\([a-z]*\))|netsim/transport/\1.c|p' netsim/transport/transports.def)
LIB_OBJECTS = $(patsubst %.c,$(BUILD)/%.o,$(filter-out netsim/main.c,$(SOURCES))) $(PROTO_C:.c=.o) \
              $(BUILD)/gen/topologies/presets.o $(BUILD)/gen/traces/model_texts.o \
              $(BUILD)/gen/netsim/transport_pages.o
TEST_SUPPORT = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support_*.c))
TESTS = $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/test_*.c)))
PHOTONET = $(BUILD)/photonet

.PHONY: all tests deps deps-check demo demo-run check check-run check-programs bench stress asan layers golden \
        golden-peers \
        install uninstall clean libraries FORCE
.SUFFIXES:
.SECONDARY:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# A second make gets its own job count where the first was given none.
parallel = $(if $(or $(findstring jobserver,$(MAKEFLAGS)),$(filter -j%,$(MAKEFLAGS))),,-j $(JOBS))

quiet = $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)  $(patsubst $(BUILD)/%,%,$(2))")

all: $(PHOTONET) $(BUILD)/libphotonet.a

$(PHOTONET): $(BUILD)/netsim/main.o $(BUILD)/libphotonet.a
	$(call say,link,$@)
	$(quiet)$(MAY_TAKE_ARCHIVES) && $(CC) $(CFLAGS) -o $@ $^ $(ARCHIVE_LIBS) 2>/dev/null || $(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

# The list of objects counts as an input: a source that goes away leaves the archive too.
$(BUILD)/libphotonet.a: $(LIB_OBJECTS) $(BUILD)/gen/objects
	$(call say,ar  ,$@)
	$(quiet)rm -f $@ && ar rcs $@ $(LIB_OBJECTS)

$(BUILD)/%.o: %.c $(BUILD)/gen/flags | libraries $(PROTO_C)
	@mkdir -p $(@D)
	$(call say,cc  ,$<)
	$(quiet)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

# Generated code is not ours to warn about.
$(BUILD)/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/gen/flags | libraries
	$(call say,cc  ,$<)
	$(quiet)$(CC) $(CPPFLAGS) $(CFLAGS) -w -MMD -MP -c -o $@ $<

$(BUILD)/gen/traces/%.pb-c.c: traces/%.proto | libraries
	@mkdir -p $(@D)
	$(call say,gen ,$@)
	$(quiet)protoc-c --proto_path=traces --c_out=$(BUILD)/gen/traces $<

# Presets of fabrics and models are compiled in, each line of YAML as a C string: header, table, files. The folders are
# named because files come and go.
texts = @mkdir -p $(@D); { echo '\#include "photonet/$(1).h"'; \
	   echo '\#define PRESET(name_, text_) {name_, text_, sizeof(text_) - 1}'; \
	   echo 'const struct $(1)_preset $(1)_presets[] = {'; \
	   for file in $(2); do \
	       echo "    PRESET(\"$$(basename $$file .yaml)\","; \
	       sed 's/\\/\\\\/g; s/"/\\"/g; s/^/        "/; s/$$/\\n"/' $$file; \
	       echo '        ),'; \
	   done; \
	   echo '    {0, 0, 0}};'; } >$@
$(BUILD)/gen/topologies/presets.c: $(PRESETS) topologies/presets Makefile
	$(call texts,fabric,$(PRESETS))
$(BUILD)/gen/traces/model_texts.c: $(MODELS) traces/models Makefile
	$(call texts,trace,$(MODELS))

# So are the heads of transports: what is modelled, what not, what it was checked against.
$(BUILD)/gen/netsim/transport_pages.c: $(TRANSPORTS) netsim/transport/transports.def netsim/transport/pages.awk
	@mkdir -p $(@D)
	@awk -f netsim/transport/pages.awk $(TRANSPORTS) >$@

# One line each, rewritten only where it changed: what depends on it is rebuilt then and not before.
write_if_new = @mkdir -p $(@D); printf '%s\n' '$(subst ','\'',$(1))' | cmp -s - $@ || printf '%s\n' '$(subst ','\'',$(1))' >$@
$(BUILD)/gen/flags: FORCE
	$(call write_if_new,$(FLAGS))
$(BUILD)/gen/commit: FORCE
	$(call write_if_new,$(COMMIT))
$(BUILD)/gen/objects: FORCE
	$(call write_if_new,$(sort $(LIB_OBJECTS)))

# What changes with every commit is compiled into one small file only.
$(BUILD)/netsim/version.o: $(BUILD)/gen/commit
$(BUILD)/netsim/version.o: private CPPFLAGS += -DPHOTONET_COMMIT='"$(COMMIT)"' \
    -DPHOTONET_FLAGS='"$(strip $(subst ",\",$(OPTIMISE) $(CFLAGS_EXTRA)))"'

# pkg-config says nothing where it, or one of the libraries, is missing.
libraries:
	@test -n "$(LIB_LIBS)" || { echo "libraries or pkg-config are missing: \`make deps\` installs them" >&2; exit 1; }

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d $(BUILD)/gen/*/*.d)

# ---- packages ----------------------------------------------------------------------------------------------------
# Silent where everything is there. What needs packages is made by a second make, which sees them.
deps:
	@tests/deps.sh build
deps-check:
	@tests/deps.sh build check

# ---- the main job ------------------------------------------------------------------------------------------------
DEMO = $(BUILD)/demo
DEMO_FABRICS = clos-dsp clos-lpo clos-cpo clos-dsp-4to1 clos-h100 optical-patch
# The step of Llama 3 8B on 32 GPUs, cut down to about ten million packet-hops a fabric.
DEMO_MODEL = --model llama3-8b --set tp=4 --set pp=2 --set dp=4 --set layers=8 --set micro_batches=2 --set shrink=32

demo: deps
	@$(MAKE) $(parallel) $(PHOTONET)
	@$(MAKE) demo-run

demo-run: $(PHOTONET)
	@mkdir -p $(DEMO)
	@echo "-- a trace: one training step of Llama 3 8B on 32 GPUs, scaled down"
	$(PHOTONET) trace generate $(DEMO_MODEL) --to chakra_et -o $(DEMO)/llama
	@echo "-- replayed over $(words $(DEMO_FABRICS)) fabrics"
	$(PHOTONET) run --trace $(DEMO)/llama $(DEMO_FABRICS:%=--fabric %) --iterations 5 -o $(DEMO)/demo.h5
	@echo "-- side by side"
	$(PHOTONET) compare $(DEMO)/demo.h5
	@echo
	@echo "The results are in $(DEMO)/demo.h5 (HDF5): open them with h5py, pandas, xarray or analysis/photonet.py."

# ---- tests -------------------------------------------------------------------------------------------------------
# Programs find the binary and the build through their environment.
TEST_ENV = PHOTONET=$(abspath $(PHOTONET)) PHOTONET_BUILD=$(abspath $(BUILD)) CC="$(CC)"

tests: $(TESTS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(TEST_SUPPORT) $(BUILD)/libphotonet.a
	$(call say,link,$@)
	$(quiet)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS) -lcunit

check: deps-check
	@$(MAKE) $(parallel) $(PHOTONET) tests
	@$(MAKE) check-run

# An installation to look at.
installed = $(MAKE) install DESTDIR=$(abspath $(BUILD))/installed PREFIX=/usr >/dev/null

check-run: $(PHOTONET) $(TESTS)
	@+$(installed)
	@$(TEST_ENV) tests/run.sh -j $(JOBS) tests/layers.awk $(TESTS)

check-programs: $(PHOTONET) $(TESTS)
	@+$(installed)
	@$(TEST_ENV) tests/run.sh -j $(JOBS) $(TESTS)

# Address and undefined-behaviour sanitizers, debug assertions. Damaged files make libraries ask for absurd sizes, which
# has to be refused as malloc refuses it.
asan: deps-check
	@ASAN_OPTIONS=allocator_may_return_null=1 LSAN_OPTIONS=suppressions=$(CURDIR)/tests/lsan.supp:print_suppressions=0 \
	    $(MAKE) $(parallel) check-programs BUILD=$(BUILD)-asan OPTIMISE=-O1 \
	    CFLAGS_EXTRA="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -DPHOTONET_DEBUG"

# Shrunken limits, so that growth and wrap-around happen all the time.
stress: deps-check
	@$(MAKE) $(parallel) check-programs BUILD=$(BUILD)-stress CFLAGS_EXTRA="-DPHOTONET_STRESS -DPHOTONET_DEBUG"

layers:
	@tests/layers.awk

# Writes anew what is made by the program and kept with the sources: golden results, schema page. What moved is for the
# eye of a reviewer.
golden: $(PHOTONET) $(BUILD)/tests/test_golden
	$(TEST_ENV) PHOTONET_GOLDEN_UPDATE=1 $(BUILD)/tests/test_golden
	$(PHOTONET) schema >analysis/schema.md
	git --no-pager diff --stat -p -- tests/golden.csv analysis/schema.md

# Completion times beside those of other packet simulators, means over five seeds: tests/peers/peers.csv. Takes minutes; needs
# PHOTONET_CORPUS for the flow lists.
golden-peers: $(BUILD)/tests/test_peers
	$(TEST_ENV) PHOTONET_PEERS=5 $(BUILD)/tests/test_peers

# The same command, together with the reference engine.
REFERENCE = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/support_reference*.c))

$(BUILD)/photonet-bench: $(BUILD)/netsim/main.o $(REFERENCE) $(BUILD)/libphotonet.a
	$(call say,link,$@)
	$(quiet)$(CC) $(CFLAGS) -o $@ $^ $(LDLIBS)

bench: $(BUILD)/photonet-bench
	$(BUILD)/photonet-bench bench queue
	$(BUILD)/photonet-bench bench engine
	$(BUILD)/photonet-bench bench read

# ---- installing --------------------------------------------------------------------------------------------------
# The installed libraries show the embedding API alone: hidden symbols are made local in the archive too.
$(BUILD)/install/libphotonet.a: $(LIB_OBJECTS)
	@mkdir -p $(@D)
	$(call say,ar  ,$@)
	$(quiet)$(CC) -r -nostdlib -o $(@D)/photonet.o $^
	$(quiet)objcopy --localize-hidden $(@D)/photonet.o
	$(quiet)rm -f $@ && ar rcs $@ $(@D)/photonet.o

$(BUILD)/install/libphotonet.so: $(LIB_OBJECTS)
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(quiet)$(CC) $(CFLAGS) -shared -Wl,-soname,libphotonet.so.$(SOVERSION) -o $@ $^ $(LDLIBS)

$(BUILD)/install/photonet.1: $(PHOTONET) netsim/manpage.awk
	@mkdir -p $(@D)
	$(call say,gen ,$@)
	@{ $(PHOTONET) --help; for command in $$(sed -n 's/^COMMAND(\([a-z]*\),.*/\1/p' include/photonet/commands.def); do \
	    echo "@@ $$command"; $(PHOTONET) $$command --help; done; \
	    for transport in $(basename $(notdir $(TRANSPORTS))); do \
	    echo "@@ transport $$transport"; $(PHOTONET) transport $$transport; done; } | awk -v version=$(VERSION) -f netsim/manpage.awk >$@

$(BUILD)/install/photonet.pc: netsim/version.c Makefile FORCE
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' \
	    'presetdir=$${prefix}/share/photonet/presets' '' 'Name: photonet' \
	    'Description: replays AI training traces over electrical and photonic fabrics' 'Version: $(VERSION)' \
	    'Cflags: -I$${includedir}' 'Libs: -L$${libdir} -lphotonet' 'Libs.private: $(LDLIBS)' >$@

PYTHON_FOLDER = $(shell /usr/bin/python3 -c 'import sys; print("python%d.%d/dist-packages" % sys.version_info[:2])' \
                  2>/dev/null || echo python3/dist-packages)
TO = $(DESTDIR)$(PREFIX)

install: $(PHOTONET) $(BUILD)/install/libphotonet.a $(BUILD)/install/libphotonet.so $(BUILD)/install/photonet.1 \
         $(BUILD)/install/photonet.pc
	install -d $(TO)/bin $(TO)/lib/pkgconfig $(TO)/include/photonet $(TO)/share/man/man1 \
	    $(TO)/share/photonet/presets $(TO)/share/photonet/models $(TO)/lib/$(PYTHON_FOLDER)
	install -m 755 $(PHOTONET) $(TO)/bin/photonet
	install -m 644 $(BUILD)/install/libphotonet.a $(TO)/lib/libphotonet.a
	install -m 755 $(BUILD)/install/libphotonet.so $(TO)/lib/libphotonet.so.$(SOVERSION)
	ln -sf libphotonet.so.$(SOVERSION) $(TO)/lib/libphotonet.so
	install -m 644 $(BUILD)/install/photonet.pc $(TO)/lib/pkgconfig/photonet.pc
	install -m 644 include/photonet/photonet.h $(TO)/include/photonet/photonet.h
	install -m 644 $(BUILD)/install/photonet.1 $(TO)/share/man/man1/photonet.1
	install -m 644 $(PRESETS) $(TO)/share/photonet/presets
	install -m 644 $(MODELS) $(TO)/share/photonet/models
	$(foreach module,$(wildcard analysis/photonet.py),install -m 644 $(module) $(TO)/lib/$(PYTHON_FOLDER))

uninstall:
	rm -f $(TO)/bin/photonet $(TO)/lib/libphotonet.a $(TO)/lib/libphotonet.so $(TO)/lib/libphotonet.so.$(SOVERSION) \
	    $(TO)/lib/pkgconfig/photonet.pc $(TO)/share/man/man1/photonet.1 $(TO)/lib/$(PYTHON_FOLDER)/photonet.py
	rm -rf $(TO)/include/photonet $(TO)/share/photonet

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-stress
