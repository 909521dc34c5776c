/* NCCL's tuning model, in its own units: microseconds and GB/s (1e9 B/s).
 *
 *      time = latency + bytes / (1000 * algorithm bandwidth)
 *
 * Scope: ring, tree and PAT with LL, LL128 and Simple, NVLS with Simple, over NVLink and a network, one GPU generation in all servers; chosen
 * before the run, once a call. The numbers are those of NCCL 2.30.7, src/graph/tuning.cc, unless a row says otherwise.
 * Not modelled: the latency that a network plug-in reports; CollNet (sharp and nvls_sharp have to be named, and get the rows of NVLS); PCIe inside servers; the search for rings and trees in the real topology (all scale-up and
 * network bandwidth counts); NCCL's tuner plug-ins and environment variables.
 * Checked against: tests/test_select.c. */
#include "netsim/replay/nccl.h"

#include <stddef.h>

#define OPEN (-1.0)

/* us from the call to the first byte, by protocol (none, LL, LL128, Simple). */
static const double base_us[NCCL_ALGORITHM_COUNT][PROTOCOL_COUNT] = {
    [NCCL_TREE] = {0, 6.8, 14.0, 8.4}, [NCCL_RING] = {0, 6.6, 14.0, 8.4}, [NCCL_PAT] = {0, 8.0, 8.0, 8.0},
    [NCCL_NVLS] = {0}, [NCCL_NVLS_TREE] = {0}};

/* us of a step over NVLink and over a network. */
static const double hop_us[MEDIUM_COUNT][NCCL_ALGORITHM_COUNT][PROTOCOL_COUNT] = {
    [MEDIUM_SCALE_UP] = {[NCCL_TREE] = {0, 0.6, 1.25, 4.0}, [NCCL_RING] = {0, 0.6, 1.9, 3.4}, [NCCL_PAT] = {0, 4, 4, 4},
                         [NCCL_NVLS] = {0, 0, 0, 25}, [NCCL_NVLS_TREE] = {0, 0, 0, 25}},
    [MEDIUM_SCALE_OUT] = {[NCCL_TREE] = {0, 5.0, 8.5, 14.0}, [NCCL_RING] = {0, 2.7, 4.0, 14.0}, [NCCL_PAT] = {0, 14, 14, 14},
                          [NCCL_NVLS] = {0, 0, 0, 18}, [NCCL_NVLS_TREE] = {0, 0, 0, 20.9}},
};

/* GB/s that LL reaches at most with 1, 2, and more servers. Several servers go by the CPU and not by the GPU: Intel's have the
 * row of Volta (ncclTopoTuneModel, index1). */
static const double ll_max_gbps[GENERATION_COUNT][3] = {
    {39.0, 39.0, 20.4}, {87.7, 22.5, 19.0}, {141.0, 45.0, 35.0}, {282.0, 90.0, 70.0}};
static const double ring_ll128_channel_gbps[GENERATION_COUNT] = {20.0, 20.0, 36.7, 40.0};
static const double tree_ll128_channel_gbps[GENERATION_COUNT][3] = {
    {20.0, 20.0, 20.0}, {20.0, 20.0, 20.0}, {36.7, 36.7, 29.0}, {55.6, 31.67, 20.0}};
static const double tree_channel_gbps[GENERATION_COUNT][3] = {
    {26.5, 18.5, 10.0}, {24.0, 23.6, 17.8}, {38.7, 41.4, 36.0}, {70.0, 42.8, 24.0}};

static const double nvls_tree_channel_gbps[GENERATION_COUNT][3] = {
    {26.5, 18.5, 10.0}, {24.0, 23.6, 17.8}, {0.0, 57.7, 45.5}, {0.0, 96.0, 80.0}};
/* NVLS: share of what rings carry over NVLink (nvlsEfficiency; 0: none); the most members of a server but for all-reduce
 * (NCCL_MAX_NVLS_ARITY). */
static const double nvls_share[GENERATION_COUNT] = {0, 0, 0.85, 0.74};
#define NVLS_ARITY_MAX 32

/* Share of an NVLink that NCCL counts on: 20 of 25 GB/s (V100, A100), 20.6 of 25 (H100), 40.1 of 50 (B100): the SM60_..
 * to SM100_NVLINK_BW of src/graph/topo.h. Not used to calibrate against: they were NCCL's before any table here. */
static const double nvlink_share[GENERATION_COUNT] = {0.8, 0.8, 0.824, 0.802};

/* Tree: how far the model is off by size, 64 B .. 256 MiB in powers of two (ncclTopoGetAlgoTime does not reach the last). */
#define TREE_CORRECTIONS 23
static const double tree_correction[PROTOCOL_COUNT][TREE_CORRECTIONS + 1] = {
    [PROTOCOL_LL] = {1.0, 1.0, 1.0, 1.0, .9, .8, .7, .7, .7, .7, .6, .5, .4, .4, .5, .6, .7, .8, .9, 1.0, 1.0, 1.0, 1.0,
                     1.0},
    [PROTOCOL_LL128] = {1.0, 1.0, 1.0, 1.0, 1.0, .9, .8, .8, .8, .7, .6, .6, .6, .6, .6, .6, .8, .9, .9, .9, .9, 1.0, 1.0,
                        1.0},
    [PROTOCOL_SIMPLE] = {.9, .9, .9, .9, .9, .9, .9, .8, .7, .6, .6, .5, .5, .5, .5, .6, .7, .8, .7, .7, .8, .9, .9,
                         1.0},
};

#define RING_PLATEAU_BYTES 64 /* a channel and rank, from which on rings over networks take longer */
#define RING_PLATEAU 1.4      /* 1.9 before Ampere */
#define RING_PLATEAU_VOLTA 1.9
#define NET_OVERHEAD_US 1.0   /* of Intel CPUs, 2 of AMD's; 3 times as much for Simple */
#define NET_OVERHEAD_SIMPLE 3.0

/* ---- the machine ------------------------------------------------------------------------------------------ */

static uint32_t servers_of(const struct nccl_case *of)
{
    return of->members / of->local;
}

static uint32_t size_class(const struct nccl_case *of)
{
    uint32_t servers = servers_of(of);
    return servers == 1 ? 0 : servers == 2 ? 1 : 2;
}

static double ll_max(const struct nccl_case *of)
{
    return ll_max_gbps[servers_of(of) == 1 ? of->generation : GENERATION_VOLTA][size_class(of)];
}

static double scale_up_gbps(const struct nccl_case *of)
{
    double share = of->efficiency > 0 ? of->efficiency : nvlink_share[of->generation];
    return (double)of->machine->rate_bps[MEDIUM_SCALE_UP] / 8e9 * share;
}

/* All rings together: inside a server what a GPU's links carry, between servers what their network ports do. */
static double bus_gbps(const struct nccl_case *of)
{
    double inside = scale_up_gbps(of), outside = (double)of->machine->rate_bps[MEDIUM_SCALE_OUT] / 8e9 * of->local;
    if (servers_of(of) == 1) {
        return inside;
    }
    return of->local == 1 || outside < inside ? outside : inside;
}

/* ---- bandwidth -------------------------------------------------------------------------------------------- */

static double least(double a, double b)
{
    return a < b ? a : b;
}

static double ring_gbps(const struct nccl_case *of, enum protocol protocol)
{
    double bus = bus_gbps(of);
    switch (protocol) {
    case PROTOCOL_LL:
        return least(bus * 0.5, ll_max(of));
    case PROTOCOL_LL128:
        return least(bus * 0.92, of->channels * ring_ll128_channel_gbps[of->generation]);
    default:
        return bus;
    }
}

static double tree_gbps(const struct nccl_case *of, enum protocol protocol)
{
    uint32_t class = size_class(of);
    double bus = least(bus_gbps(of) * 0.92, of->channels * tree_channel_gbps[of->generation][class]);
    switch (protocol) {
    case PROTOCOL_LL:
        return least(bus / 3.8, ll_max(of));
    case PROTOCOL_LL128:
        return least(bus * (class == 0 ? 7.0 / 9 : 120.0 / 128),
                     of->channels * tree_ll128_channel_gbps[of->generation][class]);
    default:
        return bus;
    }
}

static bool is_of_shares(enum collective_kind kind);

/* An all-reduce is two operations at once. */
static double nvls_gbps(const struct nccl_case *of, enum nccl_algorithm algorithm)
{
    double channels = nccl_nvls_channels(of->generation, servers_of(of) == 1), local = of->local;
    double bus = scale_up_gbps(of) * nvls_share[of->generation] * (channels - 1) / channels;
    bus *= of->kind == COLLECTIVE_ALL_REDUCE ? 2 : (local - 1) / local;
    if (servers_of(of) > 1) {
        double out = (double)of->machine->rate_bps[MEDIUM_SCALE_OUT] / 8e9 * local;
        bus = least(bus, out * (servers_of(of) == 2 && algorithm == NCCL_NVLS_TREE ? 2 : 1));
    }
    return algorithm == NCCL_NVLS ? bus : least(bus, channels * nvls_tree_channel_gbps[of->generation][size_class(of)]);
}

static bool is_of_shares(enum collective_kind kind)
{
    return kind == COLLECTIVE_ALL_GATHER || kind == COLLECTIVE_REDUCE_SCATTER;
}

/* Steps of a ring, each of which moves a member's share once. */
static double ring_steps(const struct nccl_case *of)
{
    return of->kind == COLLECTIVE_ALL_REDUCE ? 2.0 * (of->members - 1)
           : is_of_shares(of->kind)          ? of->members - 1.0
                                             : of->members;
}

static double algorithm_gbps(const struct nccl_case *of, enum nccl_algorithm algorithm, enum protocol protocol)
{
    switch (algorithm) {
    case NCCL_TREE:
        return tree_gbps(of, protocol) * 0.5;
    case NCCL_NVLS:
    case NCCL_NVLS_TREE:
        return nvls_gbps(of, algorithm) * (is_of_shares(of->kind) ? 1 : of->members / ring_steps(of));
    case NCCL_PAT:
        return bus_gbps(of) * 0.75; /* of the result: NCCL turns bus into algorithm bandwidth for rings only */
    default:
        return ring_gbps(of, protocol) * of->members / ring_steps(of);
    }
}

/* ---- latency ---------------------------------------------------------------------------------------------- */

/* NCCL's log2i: rounded down. */
static double log2_of(uint32_t value)
{
    return 31 - __builtin_clz(value);
}

static double inside_us(const struct nccl_case *of, enum nccl_algorithm algorithm, enum protocol protocol)
{
    double hop = hop_us[MEDIUM_SCALE_UP][algorithm][protocol];
    double floor = NET_OVERHEAD_US * (protocol == PROTOCOL_SIMPLE ? NET_OVERHEAD_SIMPLE : 1);
    return servers_of(of) > 1 && hop < floor ? floor : hop;
}

/* With one GPU a server latencies of the network are fully exposed: those of the tree. */
static double outside_us(const struct nccl_case *of, enum nccl_algorithm algorithm, enum protocol protocol)
{
    return hop_us[MEDIUM_SCALE_OUT][of->local == 1 ? NCCL_TREE : algorithm][protocol];
}

/* A broadcast or reduce is one hop where all channels are one ring, as in a server; else as many as members, of the tree's with
 * Simple. */
static double chain_us(const struct nccl_case *of, enum protocol protocol)
{
    enum medium medium = servers_of(of) == 1 ? MEDIUM_SCALE_UP : MEDIUM_SCALE_OUT;
    if (servers_of(of) == 1 || of->local == 1) {
        return hop_us[medium][NCCL_RING][protocol];
    }
    return of->members * hop_us[medium][protocol == PROTOCOL_SIMPLE ? NCCL_TREE : NCCL_RING][protocol];
}

static double latency_us(const struct nccl_case *of, enum nccl_algorithm algorithm, enum protocol protocol)
{
    double inside = inside_us(of, algorithm, protocol), outside = outside_us(of, algorithm, protocol);
    double base = base_us[algorithm][protocol], servers = servers_of(of);
    if (of->kind == COLLECTIVE_BROADCAST || of->kind == COLLECTIVE_REDUCE) {
        return base + chain_us(of, protocol);
    }
    if (algorithm == NCCL_TREE) {
        return base + 2 * ((of->local - 1.0) * inside + log2_of(servers_of(of)) * outside);
    }
    if (algorithm == NCCL_NVLS || algorithm == NCCL_NVLS_TREE) {
        double inside_once = hop_us[MEDIUM_SCALE_UP][algorithm][protocol];
        double steps = servers == 1 ? 0 : algorithm == NCCL_NVLS ? 1 : 2 * log2_of(servers_of(of));
        return inside_once + steps * outside;
    }
    if (algorithm == NCCL_PAT) {
        return base + log2_of(servers_of(of)) * outside / 3.5 + 2.8 * of->members;
    }
    double across = servers == 1                            ? 0
                    : of->kind == COLLECTIVE_ALL_REDUCE     ? 2 * (servers - 1)
                                                            : servers - 1;
    return base + (ring_steps(of) - across) * inside + across * outside;
}

/* ---- what is asked ---------------------------------------------------------------------------------------- */

static bool has_nvls(const struct nccl_case *of, enum protocol protocol)
{
    return of->machine->can_reduce && of->local > 1 && protocol == PROTOCOL_SIMPLE && nvls_share[of->generation] > 0;
}

static bool is_used(const struct nccl_case *of, enum nccl_algorithm algorithm, enum protocol protocol)
{
    switch (algorithm) {
    case NCCL_TREE:
        return of->kind == COLLECTIVE_ALL_REDUCE;
    case NCCL_NVLS: /* over several servers only with SHARP in the network */
        return has_nvls(of, protocol) && of->local == of->members &&
               (of->kind == COLLECTIVE_ALL_REDUCE || (is_of_shares(of->kind) && of->local <= NVLS_ARITY_MAX));
    case NCCL_NVLS_TREE:
        return has_nvls(of, protocol) && of->local < of->members && of->kind == COLLECTIVE_ALL_REDUCE;
    case NCCL_PAT: /* by default with one GPU a server only */
        return is_of_shares(of->kind) && of->local == 1 && protocol == PROTOCOL_SIMPLE;
    default:
        return of->kind == COLLECTIVE_ALL_REDUCE || is_of_shares(of->kind) || of->kind == COLLECTIVE_BROADCAST ||
               of->kind == COLLECTIVE_REDUCE;
    }
}

double nccl_time_us(const struct nccl_case *of, enum nccl_algorithm algorithm, enum protocol protocol)
{
    if (!is_used(of, algorithm, protocol) || bus_gbps(of) <= 0) {
        return OPEN;
    }
    double gbps = algorithm_gbps(of, algorithm, protocol), latency = latency_us(of, algorithm, protocol);
    uint32_t size = of->bytes >= 64 ? 63u - (uint32_t)__builtin_clzll(of->bytes / 64) : 24;
    if (algorithm == NCCL_TREE && size < TREE_CORRECTIONS) {
        gbps *= tree_correction[protocol][size];
    }
    if (algorithm == NCCL_RING && protocol == PROTOCOL_SIMPLE && servers_of(of) > 1 &&
        of->kind == COLLECTIVE_ALL_REDUCE && of->bytes / ((uint64_t)of->channels * of->members) >= RING_PLATEAU_BYTES) {
        latency *= of->generation < GENERATION_AMPERE ? RING_PLATEAU_VOLTA : RING_PLATEAU;
    }
    return latency + (double)of->bytes / (1000 * gbps);
}

static uint64_t bps_of(double gbps)
{
    return (uint64_t)(gbps * 8e9);
}

/* A member's share of what all rings carry out of a server. */
static uint32_t ways_out(const struct nccl_case *of)
{
    return of->local < of->channels ? of->local : of->channels;
}

static void rates_set(const struct nccl_case *of, enum nccl_algorithm algorithm, struct collective_choice *choice)
{
    enum protocol protocol = choice->protocol;
    double up = scale_up_gbps(of), out = (double)of->machine->rate_bps[MEDIUM_SCALE_OUT] / 8e9;
    double ll = ll_max(of);
    up *= algorithm == NCCL_TREE ? 0.92 : 1;
    if (protocol == PROTOCOL_LL) {
        up = least(up * 0.5, ll);
        out = least(out * 0.5, ll / ways_out(of));
    } else if (protocol == PROTOCOL_LL128) {
        up *= 0.92;
        out *= 0.92;
    } else {
        bool is_nvls = algorithm == NCCL_NVLS || algorithm == NCCL_NVLS_TREE;
        up *= is_nvls && nvls_share[of->generation] > 0 ? nvls_share[of->generation] : 1;
        out = 0; /* the network's own limit */
    }
    choice->rate_bps[MEDIUM_SCALE_UP] = bps_of(up);
    choice->rate_bps[MEDIUM_SCALE_OUT] = bps_of(out);
}

void nccl_protocol(const struct nccl_case *of, enum nccl_algorithm algorithm, struct collective_choice *choice)
{
    enum protocol protocol = choice->protocol;
    choice->base_ps = (uint64_t)(base_us[algorithm][protocol] * 1e6);
    choice->hop_ps[MEDIUM_SCALE_UP] = (uint64_t)(inside_us(of, algorithm, protocol) * 1e6);
    choice->hop_ps[MEDIUM_SCALE_OUT] = (uint64_t)(outside_us(of, algorithm, protocol) * 1e6);
    if (algorithm == NCCL_NVLS || algorithm == NCCL_NVLS_TREE) { /* what NCCL counts once a call */
        choice->base_ps = choice->hop_ps[MEDIUM_SCALE_UP];
        choice->hop_ps[MEDIUM_SCALE_UP] = 0;
    }
    /* LL: 4 B of data and 4 B of flag; LL128: 120 B of data in 128. */
    choice->wire_num = protocol == PROTOCOL_LL ? 2 : protocol == PROTOCOL_LL128 ? 16 : 1;
    choice->wire_den = protocol == PROTOCOL_LL128 ? 15 : 1;
    rates_set(of, algorithm, choice);
}

/* What NCCL 2.30.7 comes to: rings of the fastest speed in the list that links carry (src/graph/search.cc: H100 6 rings of 60
 * GB/s, A100 6 of 40, B100 8 of 90, V100 3 of 40), doubled where one is of 25 GB/s or more (ncclTopoDupChannels), and again
 * (ncclTopoPostset in connect.cc): 24, 24, 32, 12. Over several servers a ring a NIC of 48 or 45 GB/s, doubled once: 16 with
 * eight NICs, as in nccl issue 1218; Volta's is recalled. */
uint32_t nccl_channels_max(enum generation generation, bool is_one_server)
{
    static const uint32_t channels[GENERATION_COUNT][2] = {{12, 10}, {24, 16}, {24, 16}, {32, 16}};
    return channels[generation][is_one_server ? 0 : 1];
}

/* NVLS_NCHANNELS_SM90, _SM100, _SM100_NVL of src/transport/nvls.cc. */
uint32_t nccl_nvls_channels(enum generation generation, bool is_one_server)
{
    return generation < GENERATION_BLACKWELL ? 16 : is_one_server ? 24 : 32;
}

/* calcCollChunking in src/enqueue.cc: 128 KiB, less where a call has few of them for all channels and heads. */
uint64_t nccl_nvls_chunk(const struct nccl_case *of, enum nccl_algorithm algorithm, uint32_t channels)
{
    static const struct {
        uint64_t times, chunk_bytes;
    } nvls[] = {{64, 64 << 10}, {8, 32 << 10}, {2, 16 << 10}}, tree[] = {{16, 128 << 10}, {4, 64 << 10}, {1, 32 << 10}};
    bool is_tree = algorithm == NCCL_NVLS_TREE;
    uint64_t chunk_bytes = is_tree && servers_of(of) >= 4 ? 64 << 10 : 128 << 10, at_once = (uint64_t)channels * of->local;
    for (size_t i = 0; i < 3; i++) {
        uint64_t times = is_tree ? tree[i].times : nvls[i].times, smaller = is_tree ? tree[i].chunk_bytes : nvls[i].chunk_bytes;
        chunk_bytes = of->bytes < times * at_once * chunk_bytes && smaller < chunk_bytes ? smaller : chunk_bytes;
    }
    return chunk_bytes;
}

/* A channel has so many bytes a thread before the next one is taken (NCCL_*_THREAD_THRESHOLD, and for LL on rings times
 * ranks); threads: 512, of LL128 640 (src/include/device.h, src/enqueue.cc). */
uint32_t nccl_channels(enum nccl_algorithm algorithm, enum protocol protocol, uint64_t bytes, uint32_t members,
                       uint32_t channels)
{
    uint64_t threshold = protocol == PROTOCOL_SIMPLE ? 64 : 8;
    if (protocol == PROTOCOL_LL && algorithm == NCCL_RING) {
        threshold *= members;
    }
    uint64_t a_channel = threshold * (protocol == PROTOCOL_LL128 ? 640 : 512);
    uint64_t wanted = bytes / a_channel;
    return wanted < 1 ? 1 : wanted < channels ? (uint32_t)wanted : channels;
}
