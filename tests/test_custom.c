/* Collective algorithms of files: MSCCL's XML and Chakra traces.
 *
 * Asserted: schedules made here (rings, all pairs, all-to-all; in and out of place, on thread blocks of their own) are taken,
 * end on a network that delivers in random order, send the bytes of the closed form at any size and in any number of loops;
 * a ring has the steps of the one that is built in, and its digest in a run; everything that does not fit is refused with
 * file, line and rank: wrong numbers, kinds and sizes, what has no partner, deadlocks, races, missing and doubled
 * contributions; damaged and truncated files. Not asserted: that Chakra files move the right data, which they do not say. */
#include "netsim/base/rng.h"
#include "netsim/replay/coll_custom.h"
#include "netsim/replay/select.h"
#include "tests/trace_check.h"

#include <stdarg.h>

/* ---- writing schedules ------------------------------------------------------------------------------------ */

static char page[1 << 20];
static size_t page_used;

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    page_used += (size_t)vsnprintf(page + page_used, sizeof page - page_used, format, arguments);
    va_end(arguments);
    if (page_used >= sizeof page) {
        printf("the page is full\n");
        exit(1);
    }
}

static uint32_t next_step;

/* A step; on_block and on_step: what it waits for, -1: nothing. */
static void step_put(const char *type, const char *src, uint32_t src_at, const char *dst, uint32_t dst_at, uint32_t count,
                     int on_block, int on_step)
{
    put("   <step s=\"%u\" type=\"%s\" srcbuf=\"%s\" srcoff=\"%u\" dstbuf=\"%s\" dstoff=\"%u\" cnt=\"%u\" depid=\"%d\" "
        "deps=\"%d\" hasdep=\"1\"/>\n", next_step++, type, src, src_at, dst, dst_at, count, on_block, on_step);
}

static void plain_put(const char *type, const char *src, uint32_t src_at, const char *dst, uint32_t dst_at)
{
    step_put(type, src, src_at, dst, dst_at, 1, -1, -1);
}

static void algo_put(const char *coll, uint32_t ranks, uint32_t chunks, const char *place)
{
    page_used = 0;
    put("<algo name=\"test\" proto=\"Simple\" nchannels=\"1\" nchunksperloop=\"%u\" ngpus=\"%u\" coll=\"%s\" %s>\n", chunks,
        ranks, coll, place);
}

static void gpu_put(uint32_t rank, uint32_t scratch)
{
    put(" <gpu id=\"%u\" i_chunks=\"0\" o_chunks=\"0\" s_chunks=\"%u\">\n", rank, scratch);
}

static void block_put(uint32_t id, int send, int recv, uint32_t channel)
{
    put("  <tb id=\"%u\" send=\"%d\" recv=\"%d\" chan=\"%u\">\n", id, send, recv, channel);
    next_step = 0;
}

/* Member i begins with chunk i; with `is_plain`, a step does one thing only, as MSCCLang's older schedules. */
static const char *ring_all_reduce(uint32_t n, bool is_plain)
{
    algo_put("allreduce", n, n, "inplace=\"1\"");
    for (uint32_t rank = 0; rank < n; rank++) {
        gpu_put(rank, 0);
        block_put(0, (int)((rank + 1) % n), (int)((rank + n - 1) % n), 0);
        plain_put("s", "i", rank, "i", rank);
        for (uint32_t j = 1; j < 2 * n - 1; j++) {
            uint32_t chunk = (rank + 2 * n - j) % n;
            bool is_sum = j < n, is_last = j == 2 * n - 2;
            plain_put(is_last ? "r" : is_plain ? (is_sum ? "rrc" : "r") : is_sum ? "rrcs" : "rcs", "i", chunk, "i", chunk);
            if (is_plain && !is_last) {
                plain_put("s", "i", chunk, "i", chunk);
            }
        }
        put("  </tb>\n </gpu>\n");
    }
    put("</algo>\n");
    return page;
}

/* `parts` chunks a shard, a thread block and channel each; out of place with a copy of the own shard. */
static const char *ring_all_gather(uint32_t n, uint32_t parts, bool is_in_place)
{
    algo_put("allgather", n, n * parts, is_in_place ? "inplace=\"1\"" : "inplace=\"0\" outofplace=\"1\"");
    for (uint32_t rank = 0; rank < n; rank++) {
        gpu_put(rank, 0);
        for (uint32_t part = 0; part < parts; part++) {
            block_put(part, (int)((rank + 1) % n), (int)((rank + n - 1) % n), part);
            if (!is_in_place) {
                plain_put("cpy", "i", part, "o", rank * parts + part);
            }
            plain_put("s", "o", rank * parts + part, "o", rank * parts + part);
            for (uint32_t j = 1; j < n; j++) {
                uint32_t chunk = (rank + n - j) % n * parts + part;
                plain_put(j == n - 1 ? "r" : "rcs", "o", chunk, "o", chunk);
            }
            put("  </tb>\n");
        }
        put(" </gpu>\n");
    }
    put("</algo>\n");
    return page;
}

static const char *ring_reduce_scatter(uint32_t n)
{
    algo_put("reducescatter", n, n, "inplace=\"0\" outofplace=\"1\"");
    for (uint32_t rank = 0; rank < n; rank++) {
        gpu_put(rank, 0);
        block_put(0, (int)((rank + 1) % n), (int)((rank + n - 1) % n), 0);
        plain_put("s", "i", (rank + n - 1) % n, "i", 0);
        for (uint32_t j = 2; j < n; j++) {
            plain_put("rrs", "i", (rank + n - j) % n, "i", 0);
        }
        plain_put("rrc", "i", rank, "o", 0);
        put("  </tb>\n </gpu>\n");
    }
    put("</algo>\n");
    return page;
}

/* Everybody sends all to everybody; thread block 0 waits for the others and adds up. */
static const char *all_pairs(uint32_t n)
{
    algo_put("allreduce", n, 2, "inplace=\"1\"");
    for (uint32_t rank = 0; rank < n; rank++) {
        gpu_put(rank, 2 * n);
        for (uint32_t i = 0; i + 1 < n; i++) {
            uint32_t peer = i < rank ? i : i + 1;
            block_put(i, (int)peer, (int)peer, 0);
            step_put("s", "i", 0, "s", 2 * rank, 2, -1, -1);
            step_put("r", "i", 0, "s", 2 * peer, 2, -1, -1);
            for (uint32_t other = 1; i == 0 && other + 1 < n; other++) {
                step_put("nop", "i", 0, "i", 0, 0, (int)other, 1);
            }
            for (uint32_t other = 0; i == 0 && other < n; other++) {
                if (other != rank) {
                    step_put("re", "s", 2 * other, "i", 0, 2, -1, -1);
                }
            }
            put("  </tb>\n");
        }
        put(" </gpu>\n");
    }
    put("</algo>\n");
    return page;
}

static const char *all_to_all(uint32_t n)
{
    algo_put("alltoall", n, n, "inplace=\"0\" outofplace=\"1\" minBytes=\"0\" maxBytes=\"0\"");
    for (uint32_t rank = 0; rank < n; rank++) {
        gpu_put(rank, 0);
        block_put(0, -1, -1, 0);
        plain_put("cpy", "i", rank, "o", rank);
        put("  </tb>\n");
        for (uint32_t i = 1; i < n; i++) {
            uint32_t to = (rank + i) % n, from = (rank + n - i) % n;
            block_put(i, (int)to, (int)from, i);
            plain_put("s", "i", to, "o", rank);
            plain_put("r", "i", 0, "o", from);
            put("  </tb>\n");
        }
        put(" </gpu>\n");
    }
    put("</algo>\n");
    return page;
}

/* ---- opening ---------------------------------------------------------------------------------------------- */

static struct arena *arena;
static struct diag diag;

static const struct collective_algorithm *opened(const char *text, int kind)
{
    const struct collective_algorithm *algorithm = NULL;
    arena_free(arena);
    arena = arena_new("test");
    diag = (struct diag){""};
    enum status status = custom_open(text, kind, (struct origin){"--set", 0, 0}, arena, &algorithm, &diag);
    CHECK((status == STATUS_OK) == (algorithm != NULL));
    CHECK((status == STATUS_OK) == (diag.text[0] == 0));
    CHECK(strchr(diag.text, '\n') == NULL);
    return algorithm;
}

static const struct collective_algorithm *taken(const char *text)
{
    const struct collective_algorithm *algorithm = opened(trace_text("a.xml", text), -1);
    if (algorithm == NULL) {
        printf("\nrefused: %s\n", diag.text);
    }
    CHECK(algorithm != NULL);
    return algorithm;
}

static struct collective_call call_of(const struct collective_algorithm *algorithm, uint64_t bytes, uint64_t ring_bytes)
{
    return (struct collective_call){.members = algorithm->custom->source->rank_count, .local = 1, .channels = 1, .slices = 1,
                                    .concurrency = 1, .bytes = bytes, .chunk_bytes = 1, .ring_bytes = ring_bytes,
                                    .custom = algorithm->custom};
}

/* ---- a network that delivers in random order -------------------------------------------------------------- */

#define MEMBERS_MAX 16

struct walker {
    uint64_t next, received;
    uint8_t *is_in;
    uint64_t steps;
};

struct walk {
    const struct collective_algorithm *algorithm;
    struct collective_call call;
    struct walker walkers[MEMBERS_MAX][CUSTOM_LANES_MAX];
    uint32_t lanes;
    struct mail {
        uint32_t from, to, lane;
        uint64_t as;
    } *mails;
    size_t count, capacity;
    uint64_t bytes[MEMBERS_MAX];
};

static struct collective_step step_of(struct walk *walk, uint32_t member, uint32_t lane, uint64_t k)
{
    struct collective_step step;
    walk->call.self = member;
    collective_step_of(walk->algorithm, &walk->call, lane, k, &step);
    return step;
}

static void receives_advance(struct walk *walk, uint32_t member, uint32_t lane)
{
    struct walker *walker = &walk->walkers[member][lane];
    while (walker->received < walker->steps) {
        struct collective_step step = step_of(walk, member, lane, walker->received);
        if (step.recv_from != ID_NONE && !walker->is_in[walker->received]) {
            return;
        }
        walker->received++;
    }
}

/* Every lane as far as it goes, until none goes on. */
static void member_advance(struct walk *walk, uint32_t member)
{
    for (bool is_moved = true; is_moved;) {
        is_moved = false;
        for (uint32_t lane = 0; lane < walk->lanes; lane++) {
            struct walker *walker = &walk->walkers[member][lane];
            while (walker->next < walker->steps) {
                struct collective_step step = step_of(walk, member, lane, walker->next);
                const struct walker *other = &walk->walkers[member][step.wait_lane];
                if (walker->received < step.after_recv || other->received < step.wait_recv || other->next < step.wait_steps) {
                    break;
                }
                walker->next++;
                is_moved = true;
                if (step.send_to != ID_NONE) {
                    walk->bytes[member] += step.send_bytes;
                    vec_push(arena, walk->mails, walk->count, walk->capacity) =
                        (struct mail){member, step.send_to, step.send_lane, step.send_as};
                }
            }
        }
    }
}

static void mail_deliver(struct walk *walk, struct mail mail)
{
    struct walker *walker = &walk->walkers[mail.to][mail.lane];
    bool is_expected = mail.lane < walk->lanes && mail.as < walker->steps && !walker->is_in[mail.as] &&
                       step_of(walk, mail.to, mail.lane, mail.as).recv_from == mail.from;
    CHECK(is_expected);
    if (is_expected) {
        walker->is_in[mail.as] = 1;
        receives_advance(walk, mail.to, mail.lane);
        member_advance(walk, mail.to);
    }
}

/* Runs to the end; bytes of all members. */
static uint64_t walked_bytes(const struct collective_algorithm *algorithm, uint64_t bytes, uint64_t ring_bytes, uint64_t draws)
{
    struct walk *walk = arena_one(arena, struct walk);
    uint64_t drawn = 0, sum = 0;
    *walk = (struct walk){.algorithm = algorithm, .call = call_of(algorithm, bytes, ring_bytes)};
    walk->lanes = collective_lanes(algorithm, &walk->call);
    for (uint32_t member = 0; member < walk->call.members; member++) {
        for (uint32_t lane = 0; lane < walk->lanes; lane++) {
            struct walker *walker = &walk->walkers[member][lane];
            walk->call.self = member;
            walker->steps = algorithm->step_count(&walk->call, lane);
            walker->is_in = arena_array(arena, walker->steps, uint8_t);
            receives_advance(walk, member, lane);
        }
    }
    for (uint32_t member = 0; member < walk->call.members; member++) {
        member_advance(walk, member);
    }
    while (walk->count > 0) {
        uint32_t at = rng_below(rng_draw(draws, 1, drawn++), (uint32_t)walk->count);
        struct mail mail = walk->mails[at];
        walk->mails[at] = walk->mails[--walk->count];
        mail_deliver(walk, mail);
    }
    for (uint32_t member = 0; member < walk->call.members; member++) {
        for (uint32_t lane = 0; lane < walk->lanes; lane++) {
            const struct walker *walker = &walk->walkers[member][lane];
            CHECK(walker->next == walker->steps && walker->received == walker->steps);
        }
        sum += walk->bytes[member];
    }
    return sum;
}

/* ---- schedules that are right ----------------------------------------------------------------------------- */

static uint64_t seed;

/* Bytes over all members at sizes that nothing divides, whole and in loops. */
static void bytes_are(const char *text, uint64_t (*closed_form)(uint64_t bytes, uint64_t n))
{
    static const uint64_t sizes[] = {0, 1, 7, 4096, 1000003};
    const struct collective_algorithm *algorithm = taken(text);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0] && algorithm != NULL; i++) {
        for (uint64_t loop = 0; loop < 3; loop++) {
            uint64_t ring_bytes = loop == 0 ? 0 : sizes[i] / 20 / loop + 1;
            uint64_t sent = walked_bytes(algorithm, sizes[i], ring_bytes, seed + i);
            CHECK_EQUAL(sent, closed_form(sizes[i], algorithm->custom->source->rank_count));
        }
    }
}

static uint64_t twice_all_but_one(uint64_t bytes, uint64_t n)
{
    return 2 * (n - 1) * bytes;
}

static uint64_t all_but_one(uint64_t bytes, uint64_t n)
{
    return (n - 1) * bytes;
}

static uint64_t to_all_others(uint64_t bytes, uint64_t n)
{
    return n * (n - 1) * bytes;
}

/* What everybody has for the others: all but the own part. */
static uint64_t pairs(uint64_t bytes, uint64_t n)
{
    return n * bytes - bytes;
}

static void test_schedules(void)
{
    seed = test_seed();
    for (uint32_t n = 2; n <= 9; n++) {
        bytes_are(ring_all_reduce(n, false), twice_all_but_one);
        bytes_are(ring_all_reduce(n, true), twice_all_but_one);
        bytes_are(ring_all_gather(n, 1, true), to_all_others);
        bytes_are(ring_all_gather(n, 3, false), to_all_others);
        bytes_are(ring_reduce_scatter(n), all_but_one);
        bytes_are(all_pairs(n), to_all_others);
        bytes_are(all_to_all(n), pairs);
    }
}

/* Blocks that send at once and receive at the end share two lanes; in loops they keep their own. */
static void test_state(void)
{
    const struct collective_algorithm *algorithm = taken(all_pairs(8));
    struct collective_call call = call_of(algorithm, 8000, 0);
    CHECK_EQUAL(collective_lanes(algorithm, &call), 2);
    call.ring_bytes = 100;
    CHECK_EQUAL(collective_lanes(algorithm, &call), 7);
    algorithm = taken(ring_all_reduce(8, false));
    call = call_of(algorithm, 8000, 0);
    CHECK_EQUAL(collective_lanes(algorithm, &call), 1);
}

/* The same steps as the ring that is built in, with either way of writing it. */
static void test_ring_is_the_ring(void)
{
    const struct collective_algorithm *ring = collective_find(COLLECTIVE_ALL_REDUCE, "ring");
    for (uint32_t n = 2; n <= 8; n++) {
        for (int plain = 0; plain < 2; plain++) {
            const struct collective_algorithm *algorithm = taken(ring_all_reduce(n, plain == 1));
            struct collective_call call = call_of(algorithm, 1000 * n, plain == 1 ? 300 : 0);
            for (call.self = 0; call.self < n; call.self++) {
                CHECK_EQUAL(algorithm->step_count(&call, 0), ring->step_count(&call, 0));
                for (uint64_t k = 0; k < ring->step_count(&call, 0); k++) {
                    struct collective_step a, b;
                    collective_step_of(algorithm, &call, 0, k, &a);
                    collective_step_of(ring, &call, 0, k, &b);
                    CHECK(a.send_to == b.send_to && a.recv_from == b.recv_from && a.send_as == b.send_as);
                    CHECK(a.send_bytes == b.send_bytes && a.after_recv == b.after_recv && a.send_lane == b.send_lane);
                }
            }
        }
    }
}

/* ---- what is refused -------------------------------------------------------------------------------------- */

/* The text with the n-th `from` (from 0) replaced. */
static const char *changed(const char *text, const char *from, int n, const char *to)
{
    static char copy[sizeof page];
    const char *at = strstr(text, from);
    while (n-- > 0 && at != NULL) {
        at = strstr(at + 1, from);
    }
    CHECK(at != NULL);
    if (at != NULL) {
        snprintf(copy, sizeof copy, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    }
    return copy;
}

static void refused(const char *text, const char *part)
{
    CHECK(opened(trace_text("bad.xml", text), -1) == NULL);
    CHECK_HOLDS(diag.text, part);
    CHECK_HOLDS(diag.text, "bad.xml");
}

static void test_not_of_the_format(void)
{
    const char *ring = ring_all_reduce(3, false);
    refused(changed(ring, "allreduce", 0, "alltoallv"), "bad.xml:1: coll=\"alltoallv\"; expected allreduce");
    refused(changed(ring, "Simple", 0, "LL64"), "bad.xml:1: proto=\"LL64\"; expected Simple, LL or LL128");
    refused(changed(ring, "ngpus=\"3\"", 0, "ngpus=\"1\""), "bad.xml:1: ngpus=\"1\"; expected a whole number from 2 to 4096");
    refused(changed(ring, "nchunksperloop=\"3\"", 0, ""), "bad.xml:1: nchunksperloop=\"\"; expected a whole number");
    refused(changed(ring, "inplace=\"1\"", 0, "inplace=\"0\" outofplace=\"0\""), "bad.xml:1: inplace and outofplace are both 0");
    refused(changed(ring, "gpu id=\"2\"", 0, "gpu id=\"1\""), "gpu 1 is given twice; the first time in line");
    refused(changed(ring, "gpu id=\"2\"", 0, "gpu id=\"3\""), "id=\"3\"; expected a whole number from 0 to 2");
    refused(changed(ring, "ngpus=\"3\"", 0, "ngpus=\"4\""), "gpu 3 of ngpus=\"4\" is missing");
    refused(changed(ring, "s=\"1\" type", 0, "s=\"2\" type"), "bad.xml:5: step s=\"2\" stands where s=\"1\" was expected");
    refused(changed(ring, "type=\"rrcs\"", 0, "type=\"rrrr\""), "bad.xml:5: type=\"rrrr\"; expected s, r, rcs");
    refused(changed(ring, "srcbuf=\"i\"", 0, "srcbuf=\"x\""), "bad.xml:4: srcbuf=\"x\"; expected i, o or s");
    refused(changed(ring, "cnt=\"1\"", 0, "cnt=\"99999999999\""), "bad.xml:4: cnt=\"99999999999\"; expected a whole number");
    refused(changed(ring, "cnt=\"1\"", 0, "cnt=\"1x\""), "bad.xml:4: cnt=\"1x\"; expected a whole number");
    refused(changed(ring, "depid=\"-1\" deps=\"-1\"", 0, "depid=\"7\" deps=\"0\""),
            "bad.xml:4: waits for step 0 of thread block 7, which gpu 0 does not have");
    refused(changed(ring, "tb id=\"0\" send=\"1\"", 0, "tb id=\"0\" send=\"0\""), "gpu 0 tb 0 sends to or receives from its own GPU");
    refused(changed(ring, "tb id=\"0\" send=\"1\"", 0, "tb id=\"0\" send=\"-1\""), "a step that sends in a thread block with send=\"-1\"");
    refused(changed(ring, "<gpu", 0, "<cpu"), "bad.xml:2: element \"cpu\"; expected gpu");
    refused(changed(ring, "</algo>", 0, ""), "no element found");
    refused("<!DOCTYPE algo [<!ENTITY a \"b\">]><algo/>", "bad.xml:1: a document type; expected an algorithm alone");
    refused("<algo", "bad.xml:1: is no XML");
    refused("<algorithm/>", "bad.xml:1: element \"algorithm\"; expected algo");
    refused(changed(ring_all_gather(3, 1, true), "nchunksperloop=\"3\"", 0, "nchunksperloop=\"4\""),
            "bad.xml:1: nchunksperloop=\"4\" is no multiple of ngpus=\"3\"");
}

static void test_does_not_do_it(void)
{
    const char *ring = ring_all_reduce(3, false);
    refused(changed(ring, "type=\"s\"", 0, "type=\"nop\""), "gpu 1 tb 0 step 4: receives from rank 0 on channel 0, which never sends it");
    refused(changed(ring, "type=\"r\"", 0, "type=\"nop\""), "gpu 2 tb 0 step 3: sends to rank 0 on channel 0, which never receives it");
    refused(changed(ring, "cnt=\"1\"", 0, "cnt=\"2\""), "gpu 1 tb 0 step 1: receives 1 chunks where rank 0 sends 2");
    refused(changed(ring, "type=\"rrcs\"", 0, "type=\"rcs\""), "without the contribution of rank");
    refused(changed(ring, "type=\"r\"", 0, "type=\"rrc\""), "counts the contribution of rank 0 twice");
    refused(changed(ring, "srcoff=\"2\" dstbuf=\"i\" dstoff=\"2\"", 0, "srcoff=\"1\" dstbuf=\"i\" dstoff=\"1\""),
            "bad.xml:5: gpu 0 tb 0 step 1: adds up different parts of the collective");
    refused(changed(ring, "srcoff=\"0\" dstbuf=\"i\" dstoff=\"0\"", 0, "srcoff=\"3\" dstbuf=\"i\" dstoff=\"3\""),
            "bad.xml:4: gpu 0 tb 0 step 0: chunks 3 to 3 of buffer i, which has 3");
    refused(changed(ring, "srcbuf=\"i\"", 0, "srcbuf=\"s\""), "chunks 0 to 0 of buffer s, which has 0");
    refused(changed(ring, "inplace=\"1\"", 0, "inplace=\"0\""), "rank 0: ends out of place with nothing in chunk 0 of its output");
    refused(changed(all_to_all(3), "dstbuf=\"o\" dstoff=\"1\"", 0, "dstbuf=\"o\" dstoff=\"2\""),
            "in chunk 1 of its output (all_to_all)");
    refused(changed(ring_all_gather(3, 1, false), "type=\"cpy\"", 1, "type=\"nop\""), "reads a chunk that nothing has been put into");
    refused(changed(ring_reduce_scatter(4), "type=\"rrs\"", 0, "type=\"rcs\""), "adds up different parts of the collective");
    static char once[sizeof page]; /* two thread blocks, one connection */
    snprintf(once, sizeof once, "%s", changed(ring_all_gather(2, 2, true), "chan=\"1\"", 0, "chan=\"0\""));
    refused(changed(once, "chan=\"1\"", 0, "chan=\"0\""), "which another thread block has too");
}

/* Everybody receives first; a thread block waits for one that waits for it. */
static void test_deadlocks(void)
{
    algo_put("allgather", 2, 2, "inplace=\"1\"");
    for (uint32_t rank = 0; rank < 2; rank++) {
        gpu_put(rank, 0);
        block_put(0, (int)(1 - rank), (int)(1 - rank), 0);
        plain_put("r", "o", 1 - rank, "o", 1 - rank);
        plain_put("s", "o", rank, "o", rank);
        put("  </tb>\n </gpu>\n");
    }
    put("</algo>\n");
    refused(page, "bad.xml:4: gpu 0 tb 0 step 0: deadlock: waits for a message of rank 1, which waits too");
    refused(changed(all_pairs(3), "depid=\"-1\" deps=\"-1\"", 4, "depid=\"0\" deps=\"2\""), "deadlock: waits for step");
    refused(changed(all_pairs(3), "hasdep=\"1\"", 6, "hasdep=\"0\""),
            "bad.xml:6: waits for step 1 of thread block 1 of gpu 0, which has hasdep=\"0\" as all after it: nobody is told");
}

/* Without the wait for thread block 1 its chunk may come before or after it is read: that it works in one order is no use. */
static void test_races(void)
{
    refused(changed(all_pairs(3), "depid=\"1\" deps=\"1\"", 0, "depid=\"-1\" deps=\"-1\""), "gpu 0 tb 0 step");
    CHECK(strstr(diag.text, "neither waits for the other") != NULL || strstr(diag.text, "nothing has been put into") != NULL);
    /* the same, but what is read has something in it before: a race that only clocks can see */
    algo_put("allgather", 2, 2, "inplace=\"1\"");
    gpu_put(0, 0);
    block_put(0, 1, -1, 0);
    plain_put("s", "o", 0, "o", 0);
    plain_put("s", "o", 0, "o", 0);
    put("  </tb>\n");
    block_put(1, -1, 1, 0);
    plain_put("r", "o", 1, "o", 1);
    put("  </tb>\n </gpu>\n");
    gpu_put(1, 0);
    block_put(0, 0, -1, 0);
    plain_put("s", "o", 1, "o", 1);
    put("  </tb>\n");
    block_put(1, -1, 0, 0);
    plain_put("r", "o", 0, "o", 0);
    put("  </tb>\n");
    put("  <tb id=\"2\" send=\"-1\" recv=\"-1\" chan=\"0\">\n");
    next_step = 0;
    plain_put("cpy", "o", 1, "o", 0);
    put("  </tb>\n </gpu>\n</algo>\n");
    refused(changed(page, "type=\"s\"", 1, "type=\"nop\""), "neither waits for the other");
}

static void test_other_calls(void)
{
    const struct collective_algorithm *algorithm = taken(changed(ring_all_reduce(4, false), "inplace", 0,
                                                                 "minBytes=\"1024\" maxBytes=\"4096\" inplace"));
    struct collective_call call = call_of(algorithm, 2048, 0);
    CHECK_EQUAL(custom_fits(algorithm->custom, COLLECTIVE_ALL_REDUCE, &call, "tp0", &diag), STATUS_OK);
    CHECK_EQUAL(custom_fits(algorithm->custom, COLLECTIVE_ALL_GATHER, &call, "tp0", &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "is an algorithm of all_reduce; group \"tp0\" asks it for all_gather");
    call.bytes = 4097;
    CHECK_EQUAL(custom_fits(algorithm->custom, COLLECTIVE_ALL_REDUCE, &call, "tp0", &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "is for 1024 to 4096 B; group \"tp0\" has a call of 4097 B");
    call.bytes = 2048;
    call.members = 8;
    CHECK_EQUAL(collective_lanes(algorithm, &call), 0);
    CHECK_EQUAL(custom_fits(algorithm->custom, COLLECTIVE_ALL_REDUCE, &call, "tp0", &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "is for 4 ranks; group \"tp0\" has 8");
    call.members = 1;
    CHECK_EQUAL(custom_fits(algorithm->custom, COLLECTIVE_ALL_REDUCE, &call, "tp0", &diag), STATUS_OK);
    const uint64_t bytes[16] = {0};
    const struct pair_table table = {.members = 4, .bytes = bytes};
    algorithm = taken(all_to_all(4));
    call = call_of(algorithm, 2048, 0);
    call.pairs = &table;
    CHECK_EQUAL(custom_fits(algorithm->custom, COLLECTIVE_ALL_TO_ALL, &call, "ep0", &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "is for equal parts");
    CHECK(opened(trace_text("ring.xml", ring_all_reduce(4, false)), COLLECTIVE_ALL_GATHER) == NULL);
    CHECK_HOLDS(diag.text, "is an algorithm of all_reduce; expected one of all_gather");
    char sized[1100]; /* chunks are parts of any size */
    snprintf(sized, sizeof sized, "%s@1MiB", trace_text("ring.xml", ring_all_reduce(4, false)));
    CHECK(opened(sized, COLLECTIVE_ALL_REDUCE) == NULL);
    CHECK_HOLDS(diag.text, "ring.xml@1048576B: the file counts chunks, which are parts of any call's bytes; expected no size");
}

/* ---- rules ------------------------------------------------------------------------------------------------ */

static void test_rules(void)
{
    struct collective_policy policy = {.protocol = PROTOCOL_AUTO};
    const struct collective_machine machine = {0};
    char text[1200];
    const char *path = trace_text("ring4.xml", ring_all_reduce(4, false));
    arena_free(arena);
    arena = arena_new("test");
    snprintf(text, sizeof text, "all_reduce size<64KiB group=tp* -> custom:%s; all_reduce -> custom:%s/ll; -> direct", path, path);
    CHECK_EQUAL(collective_rules_parse(text, (struct origin){"--set", 0, 0}, arena, &policy, &diag), STATUS_OK);
    struct collective_call call = {.members = 4, .local = 4, .bytes = 1024};
    struct collective_choice choice = collective_choose(&policy, &machine, COLLECTIVE_ALL_REDUCE, &call, "tp0");
    CHECK_TEXT(choice.algorithm->name, "custom:ring4.xml");
    CHECK_EQUAL(choice.protocol, PROTOCOL_NONE);
    CHECK(policy.custom != NULL && policy.custom->next == NULL); /* read once */
    choice = collective_choose(&policy, &machine, COLLECTIVE_ALL_REDUCE, &call, "dp0");
    CHECK_TEXT(choice.algorithm->name, "custom:ring4.xml");
    CHECK_EQUAL(choice.protocol, PROTOCOL_LL);
    choice = collective_choose(&policy, &machine, COLLECTIVE_ALL_GATHER, &call, "dp0");
    CHECK_TEXT(choice.algorithm->name, "direct");
    policy.is_nccl = true; /* the file's protocol */
    choice = collective_choose(&policy, &machine, COLLECTIVE_ALL_REDUCE, &call, "tp0");
    CHECK_EQUAL(choice.protocol, PROTOCOL_SIMPLE);
    CHECK_EQUAL(choice.ring_bytes, 2 << 20);
    CHECK_HOLDS(collective_customs_text(&policy, "", arena), "custom:ring4.xml: all_reduce of 4 ranks, 28 operations\n");
    CHECK_EQUAL(collective_rules_parse("-> custom:/nowhere", (struct origin){"--set", 0, 0}, arena, &policy, &diag), STATUS_INPUT);
}

/* ---- Chakra ----------------------------------------------------------------------------------------------- */

/* A ring of n ranks, each file a chain: send, then receive, compute, send, ...; messages of `bytes`. */
static const char *chakra_ring(uint32_t n, uint64_t bytes, uint32_t steps)
{
    char name[32];
    for (uint32_t rank = 0; rank < n; rank++) {
        page_used = 0;
        put("{\"workload_graph\": [\n");
        for (uint32_t i = 0; i < 3 * steps; i++) {
            put("%s{\"Id\": %u, \"Name\": \"n\", \"NodeType\": %d", i > 0 ? ",\n" : "", i, i % 3 == 0 ? 5 : i % 3 == 1 ? 6 : 4);
            if (i % 3 == 0) {
                put(", \"comm_dst\": %u, \"comm_tag\": 0, \"comm_size\": %" PRIu64, (rank + 1) % n, bytes);
            } else if (i % 3 == 1) {
                put(", \"comm_src\": %u, \"comm_tag\": 0, \"comm_size\": %" PRIu64, (rank + n - 1) % n, bytes);
            } else {
                put(", \"runtime\": 7");
            }
            put(", \"data_deps\": [");
            put(i > 0 ? "%u]}" : "]}", i - 1);
        }
        put("\n]}\n");
        snprintf(name, sizeof name, "set%u.%u.json", n, rank);
        trace_text(name, page);
    }
    static char prefix[1024];
    snprintf(prefix, sizeof prefix, "%s/set%u", test_directory(), n);
    return prefix;
}

static const char *at_size(const char *prefix, const char *size)
{
    static char text[1100];
    snprintf(text, sizeof text, "%s@%s", prefix, size);
    return text;
}

static void chakra_refused(const char *text, int kind, const char *part)
{
    CHECK(opened(text, kind) == NULL);
    CHECK_HOLDS(diag.text, part);
}

static void test_chakra_ring(void)
{
    const char *prefix = chakra_ring(4, 1024, 6);
    const struct collective_algorithm *algorithm = opened(at_size(prefix, "4KiB"), COLLECTIVE_ALL_REDUCE);
    CHECK(algorithm != NULL);
    if (algorithm == NULL) {
        printf("\n%s\n", diag.text);
        return;
    }
    CHECK_EQUAL(walked_bytes(algorithm, 4096, 0, 1), 6 * 4096);
    CHECK_EQUAL(walked_bytes(algorithm, 1 << 20, 0, 1), 6 << 20); /* scaled */
    CHECK_EQUAL(walked_bytes(algorithm, 4098, 0, 1), 24 * 1025);  /* rounded up */
    const struct collective_algorithm *ring = collective_find(COLLECTIVE_ALL_REDUCE, "ring");
    struct collective_call call = call_of(algorithm, 8192, 0);
    for (uint64_t k = 0; k < 6; k++) {
        struct collective_step a, b;
        collective_step_of(algorithm, &call, 0, k, &a);
        collective_step_of(ring, &call, 0, k, &b);
        CHECK(a.send_to == b.send_to && a.recv_from == b.recv_from && a.send_as == b.send_as);
        CHECK(a.send_bytes == b.send_bytes && a.after_recv == b.after_recv && a.send_lane == b.send_lane);
    }
    struct custom_entry entry = {.algorithm = opened(at_size(prefix, "4099B"), COLLECTIVE_ALL_REDUCE)};
    const struct collective_policy policy = {.custom = &entry};
    CHECK(entry.algorithm != NULL);
    CHECK_HOLDS(collective_customs_text(&policy, "", arena), "72 operations; messages of a call of 4099B (no multiple of the ranks: rounded up)");
    algorithm = opened(at_size(prefix, "4KiB"), COLLECTIVE_ALL_REDUCE);
    CHECK_EQUAL(algorithm->custom->source->compute_count, 24);
    CHECK_EQUAL(algorithm->custom->source->compute_ps, 24 * 7 * UINT64_C(1000000));
    CHECK(opened(at_size(chakra_ring(4, 1024, 3), "4KiB"), COLLECTIVE_REDUCE_SCATTER) != NULL);
}

static void test_chakra_refusals(void)
{
    char prefix[1024];
    snprintf(prefix, sizeof prefix, "%s", chakra_ring(4, 1024, 6));
    chakra_refused(prefix, COLLECTIVE_ALL_REDUCE, "counts bytes; expected custom:");
    chakra_refused(at_size(prefix, "4KiB"), -1, "does not say which collective it is");
    chakra_refused(at_size(prefix, "4KiB"), COLLECTIVE_BROADCAST, "can be one of all_reduce, all_gather");
    chakra_refused(at_size(prefix, "8KiB"), COLLECTIVE_ALL_REDUCE,
                   "set4.0.json: rank 0: sends 6144 B; a call of all_reduce with 8192 B needs 8192 B at least");
    chakra_refused(at_size(chakra_ring(5, 4096, 3), "4KiB"), COLLECTIVE_ALL_REDUCE,
                   "set5.0.json: rank 0: no message can have brought the contribution of rank 1");
    char lone[1100];
    snprintf(lone, sizeof lone, "%s.0.json@4KiB", prefix);
    chakra_refused(lone, COLLECTIVE_ALL_REDUCE, "set4.0.json: is no XML of MSCCL (<algo ...>); Chakra traces are named by the prefix");
    chakra_refused(at_size(prefix, "3B"), COLLECTIVE_ALL_REDUCE,
                   "set4.0.json: rank 0: sends 6144 B; a call of all_reduce with 3 B on 4 ranks takes 24 B at most (is that the size");
    chakra_refused(at_size(prefix, "4"), COLLECTIVE_ALL_REDUCE, "set4@4: the size behind the @ is a bare number; a size needs a unit");
    chakra_refused(at_size(prefix, ""), COLLECTIVE_ALL_REDUCE, "set4@: the size behind the @ is not a number");
    chakra_refused(at_size(prefix, "0B"), COLLECTIVE_ALL_REDUCE, "set4@0B: the size behind the @ is 0");
    chakra_refused(at_size(prefix, "2047B"), COLLECTIVE_ALL_GATHER, "@2047B: all_gather shares its bytes out evenly; expected a multiple of the 4 ranks");
    chakra_refused(at_size(prefix, "4KiB/ll129"), COLLECTIVE_ALL_REDUCE, "\"ll129\" stands behind the algorithm's file");
    chakra_refused(at_size(prefix, "4KiB/ll/4"), COLLECTIVE_ALL_REDUCE, "\"ll/4\" stands behind the algorithm's file");
    chakra_refused("/nowhere@4KiB", COLLECTIVE_ALL_REDUCE, "custom:/nowhere: no such algorithm; expected an XML file of MSCCL");
    chakra_refused("", COLLECTIVE_ALL_REDUCE, "custom:: no such algorithm");
    static const char *const seconds[][2] = {
        {"\"NodeType\": 7, \"comm_type\": 0, \"comm_size\": 8", "node 7 \"x\": is a collective itself"},
        {"\"NodeType\": 5, \"comm_dst\": 1, \"comm_size\": 8", "node 7 \"x\": is a message to its own rank"},
        {"\"NodeType\": 5, \"comm_dst\": 99, \"comm_size\": 8", "node 7 \"x\": has a partner that no file of the set is for"},
        {"\"NodeType\": 5, \"comm_dst\": 0", "node 7 \"x\": send without comm_dst or comm_size"},
        {"\"NodeType\": 4, \"data_deps\": [7]", "node 7 \"x\": waits for itself, by way of its dependencies: a deadlock"},
        {"\"NodeType\": 6, \"comm_src\": 0, \"comm_size\": 8", "receives 8 B where rank 0 sends 1024 B"},
        {"\"NodeType\": 6, \"comm_src\": 0, \"comm_tag\": 3, \"comm_size\": 1024", "which never"},
    };
    for (size_t i = 0; i < sizeof seconds / sizeof seconds[0]; i++) {
        snprintf(prefix, sizeof prefix, "%s", chakra_ring(3, 1024, 2));
        page_used = 0;
        put("{\"workload_graph\": [{\"Id\": 7, \"Name\": \"x\", %s}]}", seconds[i][0]);
        trace_text("set3.1.json", page);
        chakra_refused(at_size(prefix, "2KiB"), COLLECTIVE_ALL_REDUCE, seconds[i][1]);
    }
}

static void test_astra_ring(void)
{
    const char *first = test_corpus("traces/chakra/astra_custom_ring_8npus_1MB/custom_allreduce.0.et");
    if (first == NULL) {
        return;
    }
    char prefix[1024];
    snprintf(prefix, sizeof prefix, "%.*s@1MiB", (int)(strlen(first) - strlen(".0.et")), first);
    const struct collective_algorithm *algorithm = opened(prefix, COLLECTIVE_ALL_REDUCE);
    CHECK(algorithm != NULL);
    if (algorithm != NULL) {
        CHECK_EQUAL(walked_bytes(algorithm, 1 << 20, 0, 1), 14 << 20);
        CHECK_EQUAL(walked_bytes(algorithm, 64 << 20, 0, 1), UINT64_C(14) << 26);
    }
}

/* ---- damage ----------------------------------------------------------------------------------------------- */

static void test_truncated(void)
{
    size_t length = strlen(all_pairs(3)), loaded = 0;
    char *whole = malloc(length + 1);
    memcpy(whole, page, length + 1);
    for (size_t cut = 0; cut < length; cut++) {
        loaded += opened(trace_file("cut.xml", whole, cut), COLLECTIVE_ALL_REDUCE) != NULL;
    }
    CHECK_EQUAL(loaded, 1); /* without the line end */
    free(whole);
}

static void test_damaged(void)
{
    uint64_t drawn = 0;
    seed = test_seed();
    size_t length = strlen(all_pairs(3));
    char *whole = malloc(length + 1);
    memcpy(whole, page, length + 1);
    for (int trial = 0; trial < 4000; trial++) {
        char *copy = malloc(length + 1);
        memcpy(copy, whole, length + 1);
        uint32_t changes = 1 + rng_below(rng_draw(seed, 2, drawn++), 4);
        for (uint32_t i = 0; i < changes; i++) {
            uint32_t at = rng_below(rng_draw(seed, 3, drawn++), (uint32_t)length);
            uint64_t draw = rng_draw(seed, 4, drawn++);
            bool is_digit = copy[at] >= '0' && copy[at] <= '9' && draw % 4 != 0;
            copy[at] = is_digit ? (char)('0' + draw / 4 % 10) : (char)(draw >> 8);
        }
        const struct collective_algorithm *algorithm =
            opened(trace_file("damaged.xml", copy, length), COLLECTIVE_ALL_REDUCE);
        if (algorithm != NULL && algorithm->custom->source->rank_count <= MEMBERS_MAX) {
            walked_bytes(algorithm, 1000, 0, seed);
        }
        free(copy);
    }
    free(whole);
}

/* ---- runs ------------------------------------------------------------------------------------------------- */

static void run_digest(const char *trace, const char *settings, char digest[17])
{
    char output[16384];
    const char *program = getenv("PHOTONET");
    digest[0] = 0;
    int code = test_shell(output, sizeof output, "%s run -q -t %s -f clos-dsp %s", program, trace, settings);
    CHECK_EQUAL(code, 0);
    const char *at = strstr(output, "\ndigest  ");
    if (code != 0 || at == NULL) {
        printf("\n%s\n", output);
        return;
    }
    snprintf(digest, 17, "%.16s", at + strlen("\ndigest  "));
}

static void test_run(void)
{
    if (getenv("PHOTONET") == NULL) {
        test_skip("PHOTONET names no program to run");
        return;
    }
    char digests[3][17], setting[1200], output[8192];
    static const char trace[] = "pattern:ring_allreduce,ranks=4,bytes=1MiB";
    run_digest(trace, "--set collective.all_reduce=ring", digests[0]);
    snprintf(setting, sizeof setting, "--set collective.all_reduce=custom:%s", trace_text("r.xml", ring_all_reduce(4, true)));
    run_digest(trace, setting, digests[1]);
    snprintf(setting, sizeof setting, "--set 'collective.rules=all_reduce size>=1KiB -> custom:%s@4KiB'", chakra_ring(4, 1024, 6));
    run_digest(trace, setting, digests[2]);
    CHECK_TEXT(digests[1], digests[0]);
    CHECK_TEXT(digests[2], digests[0]);
    int code = test_shell(output, sizeof output, "%s run -q -t pattern:ring_allreduce,ranks=8,bytes=1MiB -f clos-dsp "
                          "--set collective.all_reduce=custom:%s/r.xml", getenv("PHOTONET"), test_directory());
    CHECK_EQUAL(code, 2);
    CHECK_HOLDS(output, "r.xml: is for 4 ranks; group ");
    code = test_shell(output, sizeof output, "mkfifo %s/fifo && timeout 20 %s run -q -t %s -f clos-dsp "
                      "--set collective.all_reduce=custom:%s/fifo", test_directory(), getenv("PHOTONET"), trace, test_directory());
    CHECK_EQUAL(code, 2);
    CHECK_HOLDS(output, "fifo: is a pipe; expected a regular file");
}

TEST_MAIN("custom", TEST(test_schedules), TEST(test_state), TEST(test_ring_is_the_ring), TEST(test_not_of_the_format),
          TEST(test_does_not_do_it), TEST(test_deadlocks), TEST(test_races), TEST(test_other_calls), TEST(test_rules),
          TEST(test_chakra_ring), TEST(test_chakra_refusals), TEST(test_astra_ring), TEST(test_truncated), TEST(test_damaged),
          TEST(test_run))
