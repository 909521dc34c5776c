/* Which algorithm, protocol and channels a collective uses, and what the protocols cost.
 *
 * Asserted: rules by kind, size and group, and that bad ones are refused; names before the model; NCCL's model against
 * figures of its own source (bandwidth ceilings, latencies); what it picks by size; rates and flags; that wire bytes
 * come back as payload. Not asserted: that the model is right about any machine (nccl tables in the README). */
#include "netsim/replay/nccl.h"
#include "tests/check.h"

static const struct origin here = {"test", 1, 1};

/* DGX H100: 18 links of 200 Gbit/s, one 400 Gbit/s NIC a GPU. */
static const struct collective_machine dgx_h100 = {
    .server_hosts = 8, .rate_bps = {UINT64_C(3600000000000), UINT64_C(400000000000)}};

static struct collective_call call_over(uint32_t members, uint32_t local, uint64_t bytes)
{
    return (struct collective_call){.members = members, .local = local, .bytes = bytes, .concurrency = 8,
                                    .chunk_bytes = 512 << 10};
}

static struct collective_choice choose(const struct collective_policy *policy, enum collective_kind kind, uint32_t members,
                                       uint32_t local, uint64_t bytes)
{
    struct collective_call call = call_over(members, local, bytes);
    return collective_choose(policy, &dgx_h100, kind, &call, "tp 3");
}

static struct collective_policy nccl_policy(void)
{
    return (struct collective_policy){.is_nccl = true, .generation = GENERATION_HOPPER, .protocol = PROTOCOL_AUTO};
}

static void test_without_a_selector_the_first_row(void)
{
    const struct collective_policy policy = {.protocol = PROTOCOL_AUTO};
    struct collective_choice choice = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, 1000);
    CHECK_TEXT(choice.algorithm->name, "ring");
    CHECK_EQUAL(choice.protocol, PROTOCOL_NONE);
    CHECK_EQUAL(choice.channels, 1);
    CHECK_EQUAL(choice.slices, 1);
    CHECK_EQUAL(choice.base_ps + choice.hop_ps[0] + choice.hop_ps[1] + choice.rate_bps[0] + choice.rate_bps[1], 0);
    CHECK_EQUAL(choice_wire_bytes(&choice, 12345), 12345);
}

/* NVLS by hand: 18 links of 20.6 GB/s, 0.85 of it, 15 of 16 channels, two operations at once; 25 us, nothing with a network. */
static void test_nvls_by_hand(void)
{
    struct collective_machine machine = dgx_h100;
    struct nccl_case of = {.machine = &machine, .generation = GENERATION_HOPPER, .kind = COLLECTIVE_ALL_REDUCE, .members = 8,
                           .local = 8, .channels = 24, .bytes = 1000000000};
    CHECK(nccl_time_us(&of, NCCL_NVLS, PROTOCOL_SIMPLE) < 0); /* switches that cannot */
    machine.can_reduce = true;
    double bus = 370.8 * 0.85 * 15 / 16 * 2;
    CHECK_NEAR(nccl_time_us(&of, NCCL_NVLS, PROTOCOL_SIMPLE), 25 + 1e6 / (bus * 8 / 14), 1e-9);
    CHECK(nccl_time_us(&of, NCCL_NVLS, PROTOCOL_LL128) < 0);
    CHECK(nccl_time_us(&of, NCCL_NVLS_TREE, PROTOCOL_SIMPLE) < 0); /* one server */
    of.kind = COLLECTIVE_ALL_GATHER;
    CHECK_NEAR(nccl_time_us(&of, NCCL_NVLS, PROTOCOL_SIMPLE), 25 + 1e6 / (bus / 2 * 7 / 8), 1e-9);
    of = (struct nccl_case){.machine = &machine, .generation = GENERATION_HOPPER, .kind = COLLECTIVE_ALL_REDUCE, .members = 16,
                            .local = 8, .channels = 16, .bytes = 1000000000};
    CHECK(nccl_time_us(&of, NCCL_NVLS, PROTOCOL_SIMPLE) < 0);
    CHECK_NEAR(nccl_time_us(&of, NCCL_NVLS_TREE, PROTOCOL_SIMPLE), 25 + 2 * 20.9 + 1e6 / (bus * 16 / 30), 1e-9);
    of.generation = GENERATION_AMPERE;
    CHECK(nccl_time_us(&of, NCCL_NVLS_TREE, PROTOCOL_SIMPLE) < 0);
    CHECK_EQUAL(nccl_nvls_chunk(&of, NCCL_NVLS, 16), 64 << 10);
    of.bytes = UINT64_C(1) << 30;
    CHECK_EQUAL(nccl_nvls_chunk(&of, NCCL_NVLS, 16), 128 << 10);
    of.bytes = 1 << 20;
    CHECK_EQUAL(nccl_nvls_chunk(&of, NCCL_NVLS, 16), 16 << 10);
}

/* NCCL's own ceiling for a ring on 18 NVLinks of an H100: 370.8 GB/s; LL at most 141. */
static void test_the_model_has_nccl_s_ceilings(void)
{
    struct nccl_case of = {.machine = &dgx_h100, .generation = GENERATION_HOPPER, .kind = COLLECTIVE_ALL_REDUCE,
                           .members = 8, .local = 8, .channels = 24, .bytes = UINT64_C(1) << 40};
    double bus = 1.75 * (double)of.bytes / nccl_time_us(&of, NCCL_RING, PROTOCOL_SIMPLE) / 1000;
    CHECK_NEAR(bus, 370.8, 0.1);
    CHECK_NEAR(1.75 * (double)of.bytes / nccl_time_us(&of, NCCL_RING, PROTOCOL_LL) / 1000, 141, 0.1);
    of.members = 16; /* over two servers eight NICs of 50 GB/s carry more than NVLink's rings */
    CHECK_NEAR(1.875 * (double)of.bytes / nccl_time_us(&of, NCCL_RING, PROTOCOL_SIMPLE) / 1000, 370.8, 0.1);
    of.bytes = 8; /* base 6.6 us and 14 steps of 0.6 us */
    of.members = 8;
    CHECK_NEAR(nccl_time_us(&of, NCCL_RING, PROTOCOL_LL), 15.0, 0.001);
    CHECK(nccl_time_us(&of, NCCL_PAT, PROTOCOL_SIMPLE) < 0);
}

/* What a channel of LL128 carries, by generation (Volta, Ampere, Hopper, Blackwell) and 1, 2, more servers; trees are bound by
 * it or by 7/9 or 120/128 of what a channel of Simple carries. All from src/graph/tuning.cc of NCCL 2.30.7. */
static void test_channels_of_ll128(void)
{
    static const double rings[4] = {20.0, 20.0, 36.7, 40.0};
    static const double own[4][3] = {{20.0, 20.0, 20.0}, {20.0, 20.0, 20.0}, {36.7, 36.7, 29.0}, {55.6, 31.67, 20.0}};
    static const double simple[4][3] = {{26.5, 18.5, 10.0}, {24.0, 23.6, 17.8}, {38.7, 41.4, 36.0}, {70.0, 42.8, 24.0}};
    static const uint32_t members[3] = {8, 16, 32};
    for (uint32_t generation = 0; generation < 4; generation++) {
        for (uint32_t class = 0; class < 3; class++) {
            struct nccl_case of = {.machine = &dgx_h100, .generation = (enum generation)generation, .kind = COLLECTIVE_ALL_REDUCE,
                                   .members = members[class], .local = 8, .channels = 1, .bytes = UINT64_C(1) << 44};
            double per_us = (double)of.bytes / 1000, n = of.members;
            CHECK_NEAR(2 * (n - 1) / n * per_us / nccl_time_us(&of, NCCL_RING, PROTOCOL_LL128), rings[generation], 1e-5);
            double share = simple[generation][class] * (class == 0 ? 7.0 / 9 : 120.0 / 128);
            double bound = share < own[generation][class] ? share : own[generation][class];
            CHECK_NEAR(2 * per_us / nccl_time_us(&of, NCCL_TREE, PROTOCOL_LL128), bound, 1e-5);
            CHECK_NEAR(2 * per_us / nccl_time_us(&of, NCCL_TREE, PROTOCOL_SIMPLE), simple[generation][class], 1e-5);
            of.channels = 2;
            CHECK_NEAR(2 * per_us / nccl_time_us(&of, NCCL_TREE, PROTOCOL_LL128), 2 * bound, 1e-5);
        }
    }
}

/* Figures that follow from src/graph/tuning.cc of NCCL 2.30.7 line by line. */
static void test_the_model_s_rows(void)
{
    struct nccl_case of = {.machine = &dgx_h100, .generation = GENERATION_HOPPER, .kind = COLLECTIVE_ALL_REDUCE,
                           .members = 16, .local = 8, .channels = 16, .bytes = UINT64_C(1) << 40};
    /* LL over two servers with Intel's CPUs: at most 39 GB/s, over three 20.4 */
    CHECK_NEAR(1.875 * (double)of.bytes / nccl_time_us(&of, NCCL_RING, PROTOCOL_LL) / 1000, 39, 0.01);
    of.members = 24;
    CHECK_NEAR(2 * 23 / 24.0 * (double)of.bytes / nccl_time_us(&of, NCCL_RING, PROTOCOL_LL) / 1000, 20.4, 0.01);
    /* one GPU a server: hops of the tree; 2 (n - 1) of them; base and hops of LL128 are 14 and 8.5 us */
    of = (struct nccl_case){.machine = &dgx_h100, .generation = GENERATION_HOPPER, .kind = COLLECTIVE_ALL_REDUCE,
                            .members = 4, .local = 1, .channels = 16, .bytes = 8};
    CHECK_NEAR(nccl_time_us(&of, NCCL_RING, PROTOCOL_LL128), 14 + 6 * 8.5, 1e-3);
    /* trees of six servers: log2 is rounded down */
    of.members = 6;
    CHECK_NEAR(nccl_time_us(&of, NCCL_TREE, PROTOCOL_LL), 6.8 + 2 * 2 * 5.0, 1e-3);
    /* PAT: bus bandwidth as it stands, 0.75 of 50 GB/s */
    of.kind = COLLECTIVE_ALL_GATHER;
    of.bytes = UINT64_C(1) << 40;
    CHECK_NEAR((double)of.bytes / nccl_time_us(&of, NCCL_PAT, PROTOCOL_SIMPLE) / 1000, 37.5, 1e-3);
    /* a broadcast inside a server is one hop, over two a hop a member, of the tree's latency with Simple */
    of = (struct nccl_case){.machine = &dgx_h100, .generation = GENERATION_HOPPER, .kind = COLLECTIVE_BROADCAST,
                            .members = 8, .local = 8, .channels = 24, .bytes = 8};
    CHECK_NEAR(nccl_time_us(&of, NCCL_RING, PROTOCOL_LL), 6.6 + 0.6, 1e-3);
    of.members = 16;
    CHECK_NEAR(nccl_time_us(&of, NCCL_RING, PROTOCOL_SIMPLE), 8.4 + 16 * 14.0, 1e-3);
    CHECK_NEAR(nccl_time_us(&of, NCCL_RING, PROTOCOL_LL), 6.6 + 16 * 2.7, 1e-3);
}

/* The tree's correction ends at 256 MiB: from 512 MiB on there is none. */
static void test_the_tree_s_correction_ends(void)
{
    struct nccl_case of = {.machine = &dgx_h100, .generation = GENERATION_HOPPER, .kind = COLLECTIVE_ALL_REDUCE,
                           .members = 8, .local = 8, .channels = 24, .bytes = UINT64_C(512) << 20};
    double gbps = 370.8 * 0.92 / 2, latency_us = 8.4 + 2 * 7 * 4.0;
    CHECK_NEAR(nccl_time_us(&of, NCCL_TREE, PROTOCOL_SIMPLE), latency_us + (double)of.bytes / gbps / 1000, 1e-6);
    of.bytes = (UINT64_C(512) << 20) - 64;
    CHECK_NEAR(nccl_time_us(&of, NCCL_TREE, PROTOCOL_SIMPLE), latency_us + (double)of.bytes / gbps / 0.9 / 1000, 1e-6);
}

static void test_small_calls_get_ll_and_few_channels(void)
{
    struct collective_policy policy = nccl_policy();
    struct collective_choice small = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, 1024);
    struct collective_choice large = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, UINT64_C(1) << 30);
    CHECK_EQUAL(small.protocol, PROTOCOL_LL);
    CHECK_EQUAL(small.channels, 1);
    CHECK_EQUAL(large.protocol, PROTOCOL_SIMPLE);
    CHECK_EQUAL(large.channels, 24);
    CHECK_EQUAL(large.slices, 2);
    CHECK_EQUAL(large.ring_bytes, 2 << 20);
    CHECK_TEXT(large.algorithm->name, "ring");
    CHECK_NEAR((double)large.rate_bps[MEDIUM_SCALE_UP] / 8e9, 370.8, 0.1);
    CHECK_TEXT(choose(&policy, COLLECTIVE_ALL_REDUCE, 256, 8, 65536).algorithm->name, "tree");
    CHECK_TEXT(choose(&policy, COLLECTIVE_ALL_GATHER, 4, 1, 16).algorithm->name, "ring");
    CHECK_TEXT(choose(&policy, COLLECTIVE_ALL_GATHER, 64, 1, 16).algorithm->name, "pat"); /* ring: 63 hops of 5 us */
    CHECK_TEXT(choose(&policy, COLLECTIVE_ALL_GATHER, 512, 1, 65536).algorithm->name, "pat");
    CHECK_TEXT(choose(&policy, COLLECTIVE_ALL_TO_ALL, 8, 8, 512).algorithm->name, "window");
    CHECK_TEXT(choose(&policy, COLLECTIVE_BROADCAST, 8, 8, 512).algorithm->name, "chain");
}

static void test_wire_bytes_come_back(void)
{
    struct collective_policy policy = nccl_policy();
    for (int protocol = PROTOCOL_LL; protocol <= PROTOCOL_SIMPLE; protocol++) {
        policy.protocol = (enum protocol)protocol;
        struct collective_choice choice = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, 1000);
        CHECK_EQUAL(choice.protocol, protocol);
        for (uint64_t bytes = 0; bytes < 1000; bytes++) {
            CHECK_EQUAL(choice_payload_bytes(&choice, choice_wire_bytes(&choice, bytes)), bytes);
        }
    }
    policy.protocol = PROTOCOL_LL;
    struct collective_choice ll = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, 1000);
    CHECK_EQUAL(choice_wire_bytes(&ll, 100), 200);
    policy.protocol = PROTOCOL_LL128;
    struct collective_choice ll128 = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, 1000);
    CHECK_EQUAL(choice_wire_bytes(&ll128, 120), 128);
}

static void test_the_first_rule_that_fits(void)
{
    struct arena *arena = arena_new("test");
    struct collective_policy policy = nccl_policy();
    struct diag diag = {""};
    const char *text = "all_reduce size<64KiB -> tree/ll; all_reduce size>=1MiB group=tp* -> two_way_ring/simple/6; "
                       "group=dp* -> ring/none; all_gather -> */ll128";
    CHECK_EQUAL(collective_rules_parse(text, here, arena, &policy, &diag), STATUS_OK);
    CHECK_TEXT(diag.text, "");
    struct collective_choice choice = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, 65535);
    CHECK_TEXT(choice.algorithm->name, "tree");
    CHECK_EQUAL(choice.protocol, PROTOCOL_LL);
    choice = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, 65536);
    CHECK_TEXT(choice.algorithm->name, "ring"); /* the model's */
    choice = choose(&policy, COLLECTIVE_ALL_REDUCE, 8, 8, 1 << 20);
    CHECK_TEXT(choice.algorithm->name, "two_way_ring");
    CHECK_EQUAL(choice.protocol, PROTOCOL_SIMPLE);
    CHECK_EQUAL(choice.channels, 6);
    choice = choose(&policy, COLLECTIVE_ALL_GATHER, 8, 8, 1 << 20);
    CHECK_TEXT(choice.algorithm->name, "ring");
    CHECK_EQUAL(choice.protocol, PROTOCOL_LL128);
    struct collective_call call = call_over(8, 8, 100000);
    choice = collective_choose(&policy, &dgx_h100, COLLECTIVE_ALL_REDUCE, &call, "dp 0");
    CHECK_EQUAL(choice.protocol, PROTOCOL_NONE);
    arena_free(arena);
}

static void test_bad_rules_are_refused(void)
{
    static const struct {
        const char *text, *said;
    } bad[] = {{"all_reduce tree", "expected CONDITIONS -> "},  {"all_reduce ->", "nothing behind"},
               {"allreduce -> ring", "no condition"},           {"size<64 -> ring", "expected size<64KiB"},
               {"size=1MiB -> ring", "expected size<64KiB"},    {"-> rings", "no algorithm \"rings\""},
               {"all_gather -> tree", "for all_gather"},        {"-> ring/lll", "no protocol \"lll\""},
               {"-> ring/ll/0", "\"0\" channels"},              {"-> ring/ll/2x", "\"2x\" channels"}};
    struct arena *arena = arena_new("test");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct collective_policy policy = nccl_policy();
        struct diag diag = {""};
        CHECK_EQUAL(collective_rules_parse(bad[i].text, here, arena, &policy, &diag), STATUS_INPUT);
        CHECK_HOLDS(diag.text, bad[i].said);
    }
    arena_free(arena);
}

TEST_MAIN("select", TEST(test_nvls_by_hand), TEST(test_without_a_selector_the_first_row), TEST(test_the_model_has_nccl_s_ceilings),
          TEST(test_channels_of_ll128), TEST(test_the_model_s_rows), TEST(test_the_tree_s_correction_ends),
          TEST(test_small_calls_get_ll_and_few_channels), TEST(test_wire_bytes_come_back),
          TEST(test_the_first_rule_that_fits), TEST(test_bad_rules_are_refused))
