/* The packet core on a permutation over a full three-tier tree: 400 Gbit/s, 500 ns a link, flows of packets of 4 KiB
 * with 80 in flight, a 64-byte ACK for each, every packet on a path of its own. A hop is a packet over a link, ACKs
 * counted. The hosts are as small as can be, so that the figure is the core's; one case has the real endpoints. Another
 * has servers: the hosts of a leaf are 20 to 50 ns from it, all other links 500 ns long.
 *
 * Beside the figures stand yardsticks of the same minute: the reference engine on the same case (where it is linked:
 * `make bench`), and the time of a dependent load from 64 MiB (other work on the machine shows there first). */
#include "netsim/bench.h"

#include "netsim/base/clock.h"
#include "netsim/base/rng.h"
#include "netsim/engine/visit.h"
#include "netsim/transport/endpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define BENCH_PACKET_BYTES 4096
#define BENCH_ACK_BYTES    64
#define BENCH_WINDOW       80 /* packets: 400 Gbit/s over the idle round trip of 6.5 us */
#define BENCH_SEED         1
#define SERVER_LINK_NS     20 /* co-packaged or NVLink on a board, to 50 ns with the switch's own latency (components.def) */
#define SERVER_LINK_STEP_NS 4
#define FLIGHT_LOOK_PS     PS_PER_US
#define MEMORY_BYTES       ((size_t)16 << 20) /* that a case may need, and as much per host */
#define HOST_BYTES         ((size_t)16 << 10)
#define PAGE_BYTES         4096
#define PROBE_WORDS        ((size_t)8 << 20)
#define REPEATS_MAX        25
#define ACK_RING           8   /* ACKs leave before data, so hardly any wait */
#define ACK_RING_PAUSED    128 /* unless the port is paused: then as many as are in flight, rounded up to 2^k */

/* ---- minimal hosts ---------------------------------------------------------------------------------------- */

/* A packet as two numbers: written field by field, it could not be read at once, and whether data or an ACK is next nobody
 * can predict, so there is no branch about that. */
struct light_words {
    uint64_t low, high;
};
enum { WORD_ENTROPY_SHIFT = 38, WORD_KIND_SHIFT = 54 };

static inline struct light_words words_of(const struct packet *packet)
{
    uint64_t low, high;
    memcpy(&low, packet, sizeof low);
    memcpy(&high, (const uint8_t *)packet + sizeof low, sizeof high);
    __asm__("" : "+r"(low), "+r"(high)); /* as in packet_copy */
    return (struct light_words){low, high};
}

static inline void words_put(struct light_words words, struct packet *packet)
{
    uint64_t low = words.low, high = words.high;
    __asm__("" : "+r"(low), "+r"(high));
    memcpy(packet, &low, sizeof low);
    memcpy((uint8_t *)packet + sizeof low, &high, sizeof high);
}

static inline uint32_t words_kind(struct light_words words)
{
    return (uint32_t)(words.high >> WORD_KIND_SHIFT) & 3;
}

static inline struct light_words words_answered(struct light_words data)
{
    const uint64_t host_mask = 0xfffff, size_kind = UINT64_C(0x3fff) << 24 | UINT64_C(3) << WORD_KIND_SHIFT;
    uint64_t dst = data.low & host_mask, src = data.low >> 20 & host_mask;
    return (struct light_words){(data.low & ~(host_mask << 20 | host_mask)) | dst << 20 | src,
                                (data.high & ~size_kind) | BENCH_ACK_BYTES << 24 |
                                    (uint64_t)PACKET_ACK << WORD_KIND_SHIFT};
}

struct bench_host {
    uint32_t sent, acked, total;
    uint32_t ack_head, ack_count, ack_mask;
    uint64_t digest;
    struct packet *acks;
    struct light_words next; /* but for its number and path */
};

struct bench_net {
    struct engine *engine;
    struct bench_host *hosts;
};

static inline bool light_next(struct bench_host *host, uint32_t host_id, struct packet *packet)
{
    uint32_t ack_count = host->ack_count, sent = host->sent;
    uint32_t choices = ack_count | (uint32_t)((sent < host->total) & (sent - host->acked < BENCH_WINDOW));
    if (choices == 0) {
        return false;
    }
    uint64_t mask = -(uint64_t)(ack_count > 0); /* all bits for an ACK */
    __asm__("" : "+r"(mask));
    struct light_words ack = words_of(&host->acks[host->ack_head]);
    uint64_t path = rng_mix(sent + ((uint64_t)host_id << 32)) >> 48;
    uint64_t high = host->next.high | (sent & 0xffffff) | path << WORD_ENTROPY_SHIFT;
    words_put((struct light_words){host->next.low ^ ((ack.low ^ host->next.low) & mask), high ^ ((ack.high ^ high) & mask)},
              packet);
    host->ack_head = (host->ack_head - (uint32_t)mask) & host->ack_mask;
    host->ack_count = ack_count + (uint32_t)mask;
    host->sent = sent + 1 + (uint32_t)mask;
    return true;
}

/* An ACK is made of whatever arrives, and kept where that was data. */
static inline void light_take(struct bench_host *host, const struct packet *packet, uint64_t now_ps)
{
    struct light_words words = words_of(packet);
    bool is_ack = words_kind(words) == PACKET_ACK;
    host->digest = (host->digest ^ now_ps) * RNG_STEP + (words.high & 0xffffff);
    host->acked += is_ack;
    assert(host->ack_count <= host->ack_mask);
    words = words_answered(words);
    words_put(words, &host->acks[(host->ack_head + host->ack_count) & host->ack_mask]);
    host->ack_count += !is_ack;
}

static bool light_pull(void *context, uint32_t host_id, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct bench_net *net = context;
    (void)now_ps, (void)port;
    return light_next(&net->hosts[host_id], host_id, packet);
}

static bool paused_pull(void *context, uint32_t host_id, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    struct bench_net *net = context;
    bool is_open = net->engine->class->open_classes(net->engine, host_id, port) & 1;
    return is_open && light_pull(context, host_id, port, now_ps, packet);
}

static void light_receive(void *context, uint32_t host_id, const struct packet *packet, uint64_t now_ps)
{
    struct bench_net *net = context;
    light_take(&net->hosts[host_id], packet, now_ps);
    engine_kick(net->engine, host_id, 0, now_ps);
}

/* The same in one piece (visit.h). */
static inline bool visit_next(void *context, struct host_visit *visit, uint64_t now_ps, struct packet *packet)
{
    (void)now_ps;
    return (visit->open_classes & 1) && light_next(context, visit->host, packet);
}

static inline bool visit_took(void *context, struct host_visit *visit, const struct packet *packet, uint64_t now_ps)
{
    (void)visit;
    light_take(context, packet, now_ps);
    return true;
}

static void light_visit(void *context, struct host_visit *visit)
{
    struct bench_host *hosts = ((struct bench_net *)context)->hosts, host = hosts[visit->host];
    struct visit_state state = visit->state;
    visit_run(visit, &state, &host, false, visit_next, visit_took);
    visit->state = state;
    hosts[visit->host] = host;
}

static void light_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    (void)context, (void)host, (void)kind, (void)argument, (void)now_ps;
}

static const struct host_ops light_ops = {
    .pull = light_pull, .receive = light_receive, .event = light_event, .visit = light_visit};
static const struct host_ops paused_ops = {
    .pull = paused_pull, .receive = light_receive, .event = light_event, .visit = light_visit};

/* ---- the real endpoints ----------------------------------------------------------------------------------- */

struct real_net {
    struct endpoint *endpoint;
    uint64_t *digest; /* per host */
};

static bool real_pull(void *context, uint32_t host, uint32_t port, uint64_t now_ps, struct packet *packet)
{
    return endpoint_pull(((struct real_net *)context)->endpoint, host, port, now_ps, packet);
}

static void real_receive(void *context, uint32_t host, const struct packet *packet, uint64_t now_ps)
{
    struct real_net *net = context;
    net->digest[host] = (net->digest[host] ^ now_ps) * RNG_STEP + packet->seq;
    endpoint_receive(net->endpoint, host, packet, now_ps);
}

static void real_event(void *context, uint32_t host, enum host_event kind, uint64_t argument, uint64_t now_ps)
{
    (void)kind;
    endpoint_timer(((struct real_net *)context)->endpoint, host, argument, now_ps);
}

static void real_delivered(void *context, const struct message *message, uint64_t now_ps)
{
    (void)context, (void)message, (void)now_ps;
}

static void real_acked(void *context, const struct message *message, const struct message_fate *fate, uint64_t now_ps)
{
    (void)context, (void)message, (void)fate, (void)now_ps;
}

static const struct host_ops real_ops = {.pull = real_pull, .receive = real_receive, .event = real_event};
static const struct endpoint_ops real_endpoint_ops = {.delivered = real_delivered, .acked = real_acked};

/* ---- the case --------------------------------------------------------------------------------------------- */

static enum status tree_build(uint32_t radix, struct arena *arena, struct fabric *fabric, struct diag *diag)
{
    const struct fabric_family *family = fabric_family_find("fat_tree");
    void *values = param_defaults(&family->params, arena);
    const struct origin at = {"bench", 0, 0};
    const char *pairs[][2] = {{"tiers", "3"},         {"radix", arena_printf(arena, "%" PRIu32, radix)},
                              {"link_delay", "500ns"}, {"link_rate", "400Gbps"},
                              {"device_latency", "no"}};
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < sizeof pairs / sizeof pairs[0]; i++) {
        status = param_assign(&family->params, values, pairs[i][0], pairs[i][1], at, arena, diag);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct fabric_request request = {.arena = arena, .parts = part_table_new(arena), .at = at};
    fabric->arena = arena;
    fabric->parts = request.parts;
    fabric->name = "bench";
    return family->build(values, &request, fabric, diag);
}

/* The leaves become switches within servers of eight (or sixteen) GPUs. */
static void servers_make(struct fabric *fabric)
{
    for (uint32_t port = 0; port < fabric->port_count; port++) {
        uint32_t near = fabric->port_node[port], far = fabric->port_node[fabric->port_peer[port]];
        uint32_t host = near < far ? near : far;
        if (host < fabric->host_count) {
            fabric->propagation_ps[port] = (SERVER_LINK_NS + host % 8 * SERVER_LINK_STEP_NS) * PS_PER_NS;
        }
    }
}

/* Whom host i sends to: a permutation without fixed points, drawn by sorting. */
static uint32_t *permutation(uint32_t hosts, struct arena *arena)
{
    uint32_t *to = arena_array(arena, hosts, uint32_t);
    for (uint32_t i = 0; i < hosts; i++) {
        to[i] = i;
    }
    for (uint32_t i = hosts - 1; i > 0; i--) { /* Sattolo: one cycle, so nobody sends to itself */
        uint32_t other = rng_below(rng_draw(BENCH_SEED, 5, i), i), swapped = to[i];
        to[i] = to[other];
        to[other] = swapped;
    }
    return to;
}

enum bench_queues { QUEUES_FIFO, QUEUES_ECN, QUEUES_LOSSLESS };
static const char *const queues_names[] = {"", ", ECN", ", adaptive + PFC"};

/* ECN as in the peers' scenarios, from 20 to 80 % of the window; PFC at 15 and 12 packets (transport/roce.c). */
static void queues_set(enum bench_queues queues, struct queue_profile *profile)
{
    *profile = queue_profile_plain;
    if (queues == QUEUES_ECN) {
        profile->class[0].mark = MARK_ENQUEUE;
        profile->class[0].mark_low_bytes = BENCH_WINDOW / 5 * BENCH_PACKET_BYTES;
        profile->class[0].mark_high_bytes = BENCH_WINDOW / 5 * 4 * BENCH_PACKET_BYTES;
    }
    if (queues == QUEUES_LOSSLESS) {
        profile->is_adaptive = true;
        profile->class[0].xoff_bytes = 15 * BENCH_PACKET_BYTES;
        profile->class[0].xon_bytes = 12 * BENCH_PACKET_BYTES;
    }
}

/* The tree's radix (16: 1024 hosts, 32: 8192), active flows (0: one from every host), packets of a flow. */
struct bench_engine_options {
    uint32_t radix, flows, flow_packets, thread_count;
    const char *simd, *engine;
    bool is_endpoint; /* the real endpoints instead of a minimal host */
    bool has_servers;
    enum bench_queues queues;
};

struct sample {
    double cpu_s, wall_s;
    uint64_t hops, data_hops, digest, peak_bytes;
};

/* What nobody has touched for seconds a virtual machine may have given back, and it comes again, at the first touch, ten times
 * as slowly as memory that is there: 2 MiB in 2 to 4 ms instead of 0.24. The first case, and the largest, paid up to 2 ns a
 * hop for that. So each begins after as much memory as it needs has been fetched, and is the kernel's again. */
static void memory_fetch(const struct bench_engine_options *options)
{
    size_t hosts = (size_t)options->radix * options->radix * options->radix / 4, bytes = MEMORY_BYTES + hosts * HOST_BYTES;
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return;
    }
    madvise(memory, bytes, MADV_HUGEPAGE); /* may fail */
    for (size_t at = 0; at < bytes; at += PAGE_BYTES) {
        memory[at] = 1;
    }
    munmap(memory, bytes);
}

/* Linux forgets the highest resident size so far; elsewhere rows have that of all before them as well. */
static void peak_forget(void)
{
    FILE *stream = fopen("/proc/self/clear_refs", "w");
    if (stream != NULL) {
        fputs("5", stream);
        fclose(stream);
    }
}

static uint64_t peak_bytes(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss * 1024;
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static const struct engine_class *engine_find(const char *name)
{
    return strcmp(name, "plain") == 0 ? engine_reference : &engine_window;
}

static bool is_active(const struct bench_engine_options *options, uint32_t host)
{
    return options->flows == 0 || host < options->flows;
}

static struct engine *light_net(const struct bench_engine_options *options, struct engine_config *config,
                                struct bench_net *net, struct arena *arena)
{
    uint32_t hosts = config->fabric->host_count;
    uint32_t *to = permutation(hosts, arena);
    uint32_t ring = options->queues == QUEUES_LOSSLESS ? ACK_RING_PAUSED : ACK_RING;
    net->hosts = arena_array(arena, hosts, struct bench_host);
    for (uint32_t i = 0; i < hosts; i++) {
        struct packet first = {.dst = to[i] & 0xfffff, .src = i & 0xfffff, .kind = PACKET_DATA,
                               .size_bytes = BENCH_PACKET_BYTES};
        net->hosts[i].next = words_of(&first);
        net->hosts[i].acks = arena_array(arena, ring, struct packet);
        net->hosts[i].ack_mask = ring - 1;
        net->hosts[i].total = is_active(options, i) ? options->flow_packets : 0;
    }
    config->ops = options->queues == QUEUES_LOSSLESS ? &paused_ops : &light_ops;
    config->context = net;
    return net->engine = engine_find(options->engine)->create(arena, config);
}

static struct engine *real_net(const struct bench_engine_options *options, struct engine_config *config,
                               struct real_net *net, struct arena *arena)
{
    const struct transport *transport = transport_find("window");
    struct endpoint_config endpoint_config = {
        .fabric = config->fabric, .routes = config->routes, .shape = {BENCH_PACKET_BYTES, BENCH_ACK_BYTES, BENCH_ACK_BYTES, {0}},
        .transport = transport, .transport_values = param_defaults(&transport->params, arena),
        .balance = balances[1], .rto_ps = PS_PER_MS, .local_bps = 1000000000000, .seed = BENCH_SEED,
        .ops = &real_endpoint_ops, .context = net};
    net->endpoint = endpoint_new(arena, &endpoint_config);
    net->digest = arena_array(arena, config->fabric->host_count, uint64_t);
    config->ops = &real_ops;
    config->context = net;
    struct engine *engine = engine_find(options->engine)->create(arena, config);
    endpoint_attach(net->endpoint, engine);
    return engine;
}

static void flows_start(const struct bench_engine_options *options, struct engine *engine, struct real_net *real,
                        uint32_t hosts, struct arena *arena)
{
    uint32_t *to = permutation(hosts, arena);
    for (uint32_t i = 0; i < hosts; i++) {
        if (!is_active(options, i)) {
            continue;
        }
        if (!options->is_endpoint) {
            engine_kick(engine, i, 0, 0);
            continue;
        }
        struct message message = {.src_rank = i, .dst_rank = to[i], .src_host = i, .dst_host = to[i]};
        message.bytes = (uint64_t)options->flow_packets * (BENCH_PACKET_BYTES - BENCH_ACK_BYTES);
        endpoint_send(real->endpoint, &message, 0);
    }
}

static uint64_t data_hops(struct engine *engine, uint32_t port_count)
{
    uint64_t hops = 0;
    for (uint32_t port = 0; port < port_count; port++) {
        struct port_counters counters;
        engine->class->counters(engine, port, &counters);
        hops += (counters.tx_bytes - BENCH_ACK_BYTES * counters.tx_packets) / (BENCH_PACKET_BYTES - BENCH_ACK_BYTES);
    }
    return hops;
}

/* A case, ready to run. */
struct bench_run {
    struct arena *arena;
    struct fabric fabric;
    struct queue_profile queues;
    struct bench_net light;
    struct real_net real;
    struct engine *engine;
};

static void run_open(const struct bench_engine_options *options, struct bench_run *run)
{
    struct diag diag = {{0}};
    memset(run, 0, sizeof *run);
    run->arena = arena_new("bench");
    enum status status = tree_build(options->radix, run->arena, &run->fabric, &diag);
    assert(status == STATUS_OK); /* the cases are ours */
    if (options->has_servers) {
        servers_make(&run->fabric);
    }
    queues_set(options->queues, &run->queues);
    struct engine_config config = {.fabric = &run->fabric, .routes = routes_new(&run->fabric, run->arena),
                                   .seed = BENCH_SEED, .switch_queues = &run->queues, .host_queues = &run->queues,
                                   .packet_bytes_max = BENCH_PACKET_BYTES, .cut_through_bytes = BENCH_ACK_BYTES,
                                   .thread_count = options->thread_count, .simd = options->simd};
    run->engine = options->is_endpoint ? real_net(options, &config, &run->real, run->arena)
                                       : light_net(options, &config, &run->light, run->arena);
    flows_start(options, run->engine, &run->real, run->fabric.host_count, run->arena);
}

static void sample_take(const struct bench_engine_options *options, struct sample *sample)
{
    struct bench_run run;
    memory_fetch(options);
    peak_forget();
    run_open(options, &run);
    const struct engine_class *class = run.engine->class;
    double cpu_s = cpu_seconds(), wall_s = wall_seconds();
    class->run(run.engine, TIME_NEVER_PS);
    sample->cpu_s = cpu_seconds() - cpu_s;
    sample->wall_s = wall_seconds() - wall_s;
    sample->hops = class->hop_count(run.engine);
    sample->data_hops = data_hops(run.engine, run.fabric.port_count);
    sample->peak_bytes = peak_bytes();
    sample->digest = 0;
    for (uint32_t i = 0; i < run.fabric.host_count; i++) {
        uint64_t host_digest = options->is_endpoint ? run.real.digest[i] : run.light.hosts[i].digest;
        sample->digest = rng_mix(sample->digest ^ host_digest);
    }
    arena_free(run.arena);
}

/* The most packets in flight, looked at often, and what the engine has taken for them by the end. The samples are not for
 * that: looking costs time. */
struct flight {
    uint64_t packets_max, bytes;
};

static struct flight flight_look(const struct bench_engine_options *options)
{
    struct bench_run run;
    struct flight flight = {0};
    run_open(options, &run);
    const struct engine_class *class = run.engine->class;
    if (class->packets_bytes != NULL) {
        uint64_t next_ps = 0, packets;
        for (uint64_t until_ps = 0; next_ps != TIME_NEVER_PS; until_ps += FLIGHT_LOOK_PS) {
            next_ps = class->run_past(run.engine, until_ps);
            packets = class->packets_in_flight(run.engine);
            flight.packets_max = packets > flight.packets_max ? packets : flight.packets_max;
        }
        flight.bytes = class->packets_bytes(run.engine);
    }
    arena_free(run.arena);
    return flight;
}

/* ---- yardsticks and output -------------------------------------------------------------------------------- */

/* Nanoseconds of one load that the next one waits for, over 64 MiB. */
static double probe_ns(struct arena *arena)
{
    uint64_t *next = arena_array(arena, PROBE_WORDS, uint64_t);
    for (size_t i = 0; i < PROBE_WORDS; i++) {
        next[i] = i;
    }
    for (size_t i = PROBE_WORDS - 1; i > 0; i--) {
        size_t other = rng_draw(BENCH_SEED, 6, i) % i;
        uint64_t swapped = next[i];
        next[i] = next[other];
        next[other] = swapped;
    }
    double start_s = cpu_seconds();
    uint64_t at = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        at = next[at];
    }
    double ns = (cpu_seconds() - start_s) * 1e3;
    return at == UINT64_MAX ? 0 : ns;
}

static int by_wall(const void *a_, const void *b_)
{
    const struct sample *a = a_, *b = b_;
    return (a->wall_s > b->wall_s) - (a->wall_s < b->wall_s);
}

static int by_cpu(const void *a_, const void *b_)
{
    const struct sample *a = a_, *b = b_;
    return (a->cpu_s > b->cpu_s) - (a->cpu_s < b->cpu_s);
}

#define ROW_FORMAT "{s:s, s:i, s:i, s:s, s:f, s:f, s:I, s:f, s:I, s:I, s:f}"

static json_t *row_of(const struct bench_engine_options *options, const struct sample *sample, struct flight flight)
{
    uint32_t threads = options->thread_count > 1 ? options->thread_count : 1;
    double time_s = threads > 1 ? sample->wall_s : sample->cpu_s;
    char name[64];
    snprintf(name, sizeof name, "%s, %s%s%s%s", options->flows == 0 ? "permutation" : "one flow", options->engine,
             options->is_endpoint ? ", endpoints" : "", options->has_servers ? ", servers" : "",
             queues_names[options->queues]);
    double bytes_each = flight.packets_max > 0 ? (double)flight.bytes / (double)flight.packets_max : 0;
    return json_pack(ROW_FORMAT, "case", name, "hosts",
                     (int)(options->radix * options->radix * options->radix / 4), "threads", (int)threads, "simd",
                     options->simd, "ns_per_hop", 1e9 * time_s / (double)sample->hops, "ns_per_data_hop",
                     1e9 * time_s / (double)sample->data_hops, "hops", (json_int_t)sample->hops, "wall_s",
                     sample->wall_s, "rss_bytes", (json_int_t)sample->peak_bytes, "packets_in_flight",
                     (json_int_t)flight.packets_max, "bytes_per_packet", bytes_each);
}

/* The dependent-load yardstick as a row of the same columns. */
static json_t *probe_row(void)
{
    struct arena *arena = arena_new("memory probe");
    double ns = probe_ns(arena);
    arena_free(arena);
    return json_pack(ROW_FORMAT, "case", "dependent load, 64 MiB", "hosts", 0,
                     "threads", 1, "simd", "-", "ns_per_hop", ns, "ns_per_data_hop", ns, "hops", (json_int_t)0,
                     "wall_s", 0.0, "rss_bytes", (json_int_t)0, "packets_in_flight", (json_int_t)0, "bytes_per_packet", 0.0);
}

/* The cases are run in turn, round after round, so that all of them see the same machine. */
static void rounds_run(const struct bench_engine_options *cases, uint32_t case_count, uint32_t rounds,
                       struct sample (*samples)[REPEATS_MAX])
{
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < case_count; i++) {
            sample_take(&cases[i], &samples[i][round]);
            assert(samples[i][round].digest == samples[i][0].digest);
        }
    }
}

#define CASES_MAX 24

static uint32_t cases_list(const struct bench_request *request, struct bench_engine_options *cases)
{
    const struct bench_engine_options full = {.radix = 16, .flow_packets = 512, .thread_count = 1, .engine = "window"};
    enum simd_body widest = request->is_simd_given ? request->simd : simd_detect();
    uint32_t count = 0;
    for (int body = 0; body < SIMD_BODY_COUNT; body++) {
        bool is_wanted = request->is_simd_given ? body == (int)request->simd : simd_is_supported((enum simd_body)body);
        if (is_wanted) {
            cases[count] = full;
            cases[count].radix = request->radix != 0 ? request->radix : full.radix;
            cases[count++].simd = simd_name((enum simd_body)body);
        }
    }
    static const struct {
        uint32_t radix, flows, threads;
        const char *engine;
        bool is_endpoint;
        enum bench_queues queues;
        bool has_servers;
    } others[] = {{16, 0, 2, "window", false, QUEUES_FIFO, false}, {32, 0, 1, "window", false, QUEUES_FIFO, false},
                  {32, 0, 2, "window", false, QUEUES_FIFO, false}, {32, 1, 1, "window", false, QUEUES_FIFO, false},
                  {16, 0, 1, "window", true, QUEUES_FIFO, false},  {16, 0, 1, "window", false, QUEUES_ECN, false},
                  {16, 0, 2, "window", false, QUEUES_ECN, false},  {16, 0, 1, "window", false, QUEUES_LOSSLESS, false},
                  {16, 0, 2, "window", false, QUEUES_LOSSLESS, false}, {16, 0, 1, "window", false, QUEUES_FIFO, true},
                  {16, 0, 2, "window", false, QUEUES_FIFO, true}, {16, 0, 1, "plain", false, QUEUES_FIFO, false}};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        bool is_again = request->radix != 0 && others[i].radix != full.radix && others[i].flows == 0;
        if (engine_find(others[i].engine) == NULL || is_again) {
            continue;
        }
        cases[count] = full;
        cases[count].simd = strcmp(others[i].engine, "plain") == 0 ? "-" : simd_name(widest);
        cases[count].radix = request->radix != 0 ? request->radix : others[i].radix;
        cases[count].flows = others[i].flows;
        cases[count].is_endpoint = others[i].is_endpoint;
        cases[count].queues = others[i].queues;
        cases[count].has_servers = others[i].has_servers;
        cases[count].thread_count = others[i].threads;
        cases[count++].engine = others[i].engine;
    }
    return count;
}

json_t *bench_engine(const struct bench_request *request)
{
    struct bench_engine_options cases[CASES_MAX];
    struct arena *arena = arena_new("samples");
    struct sample(*samples)[REPEATS_MAX] = arena_alloc_array(arena, CASES_MAX, sizeof *samples);
    uint32_t rounds = request->round_count < REPEATS_MAX ? request->round_count : REPEATS_MAX;
    uint32_t count = cases_list(request, cases);
    json_t *rows = json_array();
    rounds_run(cases, count, rounds, samples);
    for (uint32_t i = 0; i < count; i++) {
        qsort(samples[i], rounds, sizeof samples[i][0], cases[i].thread_count > 1 ? by_wall : by_cpu);
        json_array_append_new(rows, row_of(&cases[i], &samples[i][rounds / 2], flight_look(&cases[i])));
    }
    json_array_append_new(rows, probe_row());
    arena_free(arena);
    return rows;
}
