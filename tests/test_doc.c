/* The YAML loader.
 *
 * Asserted: the tree and the position of every piece; one line with path, line and column for everything
 * that is refused; bounds on depth and on expansion; that thousands of damaged documents neither crash nor
 * hang the loader nor give a tree that breaks its own rules. Not asserted: conformance to all of YAML, which
 * is libyaml's business. */
#include "tests/check.h"

#include "netsim/base/clock.h"
#include "netsim/base/rng.h"
#include "photonet/doc.h"

#include <sys/stat.h>
#include <unistd.h>

/* ---- helpers ------------------------------------------------------------------------------------------- */

struct fixture {
    struct arena *arena;
    const struct doc *root;
    enum status status;
    struct diag diag;
};

static struct fixture parsed_bytes(const char *text, size_t length)
{
    struct fixture fixture = {.arena = arena_new("test")};
    fixture.status = doc_parse(text, length, "f.yaml", fixture.arena, &fixture.root, &fixture.diag);
    return fixture;
}

static struct fixture parsed(const char *text)
{
    return parsed_bytes(text, strlen(text));
}

/* The message that `text` is refused with; "accepted" where it is not. */
static const char *refusal_bytes(const char *text, size_t length)
{
    static char message[DIAG_BYTES];
    struct fixture fixture = parsed_bytes(text, length);
    snprintf(message, sizeof message, "%s", fixture.status == STATUS_OK ? "accepted" : fixture.diag.text);
    if (fixture.status != STATUS_OK) {
        CHECK_EQUAL(fixture.status, STATUS_INPUT);
        CHECK(fixture.root == NULL);
    }
    arena_free(fixture.arena);
    return message;
}

static const char *refusal(const char *text)
{
    return refusal_bytes(text, strlen(text));
}

/* The whole tree on one line: "{a@1:4=1,b@2:1=[@2:4=x]}" with the position in front of every value. */
static void tree_print(const struct doc *node, FILE *stream)
{
    fprintf(stream, "%s@%u:%u=", node->key != NULL ? node->key : "", (unsigned)node->at.line,
            (unsigned)node->at.column);
    if (node->kind == DOC_SCALAR) {
        fprintf(stream, "%s", node->text);
        return;
    }
    fputc(node->kind == DOC_MAP ? '{' : '[', stream);
    for (const struct doc *child = node->child; child != NULL; child = child->next) {
        tree_print(child, stream);
        fputs(child->next != NULL ? "," : "", stream);
    }
    fputc(node->kind == DOC_MAP ? '}' : ']', stream);
}

static const char *tree_bytes(const char *text, size_t length)
{
    static char printed[4096];
    struct fixture fixture = parsed_bytes(text, length);
    snprintf(printed, sizeof printed, "%s", fixture.diag.text);
    if (fixture.status == STATUS_OK) {
        FILE *stream = fmemopen(printed, sizeof printed, "w");
        tree_print(fixture.root, stream);
        fclose(stream);
    }
    arena_free(fixture.arena);
    return printed;
}

static const char *tree(const char *text)
{
    return tree_bytes(text, strlen(text));
}

/* `count` times `piece`, on the heap. */
static char *repeated(const char *piece, size_t count)
{
    size_t bytes = strlen(piece);
    char *text = malloc(bytes * count + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * bytes, piece, bytes);
    }
    text[bytes * count] = '\0';
    return text;
}

/* ---- what is read -------------------------------------------------------------------------------------- */

static void test_positions(void)
{
    CHECK_TEXT(tree("a: 1\nbb:   two words\n"), "@1:1={a@1:4=1,bb@2:7=two words}");
    CHECK_TEXT(tree("a:\n  b: 1\n  c:\n    - x\n    - [y, z]\n"),
               "@1:1={a@1:1={b@2:6=1,c@3:3=[@4:7=x,@5:7=[@5:8=y,@5:11=z]]}}");
    CHECK_TEXT(tree("- {k: v}\n-\n  k: w\n"), "@1:1=[@1:3={k@1:7=v},@3:3={k@3:6=w}]");
    CHECK_TEXT(tree("# remark\n\n   a: 1 # remark\n"), "@3:4={a@3:7=1}");
    CHECK_TEXT(tree("\xc3\xa4\xc3\xb6: 1\n"), "@1:1={\xc3\xa4\xc3\xb6@1:5=1}");
    CHECK_TEXT(tree("a: 'x: y'\nb: \"\\u20ac\"\n"), "@1:1={a@1:4=x: y,b@2:4=\xe2\x82\xac}");
    CHECK_TEXT(tree("a:\nb: ''\n"), "@1:1={a@1:3=,b@2:4=}");
    CHECK_TEXT(tree("a: |\n  x\n  y\nb: >\n  x\n  y\n"), "@1:1={a@1:4=x\ny\n,b@4:4=x y\n}");
}

static void test_json(void)
{
    CHECK_TEXT(tree("{\"a\": 1, \"b\": [true, null, -1.5e3], \"c\": {}, \"d\": []}"),
               "@1:1={a@1:7=1,b@1:10=[@1:16=true,@1:22=null,@1:28=-1.5e3],c@1:37={},d@1:46=[]}");
    CHECK_TEXT(tree("[\n  1,\n  {\"k\":\"v\"}\n]\n"), "@1:1=[@2:3=1,@3:3={k@3:8=v}]");
}

static void test_line_ends_and_marks(void)
{
    CHECK_TEXT(tree("a: 1\r\nb:\r\n  c: 2\r\n"), "@1:1={a@1:4=1,b@2:1={c@3:6=2}}");
    CHECK_TEXT(tree("a: 1\rb: 2\r"), "@1:1={a@1:4=1,b@2:4=2}");
    CHECK_TEXT(tree("\xef\xbb\xbf"
                    "a: 1\nb: 2"),
               "@1:1={a@1:4=1,b@2:4=2}");
    CHECK_TEXT(tree("%YAML 1.1\n---\na: !!str 1\n...\n"), "@3:1={a@3:4=1}");
}

static void test_empty(void)
{
    const char *const texts[] = {"", "\n", "# remark\n", "---\n", "--- # remark\n...\n", "\xef\xbb\xbf"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        CHECK_TEXT(tree(texts[i]), "@1:1={}");
    }
}

static void test_get(void)
{
    struct fixture fixture = parsed("a: 1\nb: {c: [2, 3, 4]}\n");
    CHECK_EQUAL(fixture.status, STATUS_OK);
    CHECK_EQUAL(fixture.root->child_count, 2);
    CHECK_TEXT(doc_get(fixture.root, "a")->text, "1");
    const struct doc *list = doc_get(doc_get(fixture.root, "b"), "c");
    CHECK_EQUAL(list->kind, DOC_LIST);
    CHECK_EQUAL(list->child_count, 3);
    CHECK_TEXT(list->at.path, "f.yaml");
    CHECK(doc_get(fixture.root, "A") == NULL);
    CHECK(doc_get(list, "a") == NULL);
    CHECK(doc_get(NULL, "a") == NULL);
    CHECK(doc_get(doc_get(fixture.root, "a"), "a") == NULL);
    arena_free(fixture.arena);
}

static void test_path_and_text_are_copied(void)
{
    char path[] = "f.yaml", text[] = "key: value";
    struct arena *arena = arena_new("test");
    const struct doc *root;
    struct diag diag;
    CHECK_EQUAL(doc_parse(text, strlen(text), path, arena, &root, &diag), STATUS_OK);
    memset(path, 'x', sizeof path - 1);
    memset(text, 'x', sizeof text - 1);
    CHECK_TEXT(root->at.path, "f.yaml");
    CHECK_TEXT(doc_get(root, "key")->text, "value");
    arena_free(arena);
}

static void test_aliases(void)
{
    CHECK_TEXT(tree("a: &x {k: 1}\nb: *x\nc: [*x, *x]\n"),
               "@1:1={a@1:1={k@1:11=1},b@1:1={k@1:11=1},c@3:1=[@1:1={k@1:11=1},@1:1={k@1:11=1}]}");
    CHECK_TEXT(tree("a: &x 1\nb: &x 2\nc: *x\n"), "@1:1={a@1:4=1,b@2:4=2,c@2:4=2}");
    CHECK_TEXT(tree("&x a: 1\n*x : 2\n"), "f.yaml:2:1: key \"a\" is given twice; the first is in line 1");
    CHECK_TEXT(tree("a: &x k\n*x : 2\n"), "@1:1={a@1:4=k,k@2:6=2}");
}

/* ---- what is refused ----------------------------------------------------------------------------------- */

static void test_duplicate_keys(void)
{
    CHECK_TEXT(refusal("a: 1\nb: 2\n\na: 3\n"),
               "f.yaml:4:1: key \"a\" is given twice; the first is in line 1");
    CHECK_TEXT(refusal("m:\n  - {x: 1, y: 2, 'x': 3}\n"),
               "f.yaml:2:18: key \"x\" is given twice; the first is in line 2");
    CHECK_TEXT(refusal("a: {k: 1}\nb: {k: 1}\nc: [{k: 1}, {k: 1}]\n"), "accepted");
    CHECK_HOLDS(refusal("a: {b: 1}\n<<: {c: 1}\n"), "f.yaml:2:1: merge key");
}

static void test_duplicate_key_in_a_large_map(void)
{
    struct arena *arena = arena_new("test");
    size_t bytes = 0, capacity = 4 << 20;
    char *text = arena_alloc(arena, capacity);
    for (int i = 0; i < 100000; i++) {
        bytes += (size_t)snprintf(text + bytes, capacity - bytes, "key_%d: %d\n", i, i);
    }
    double started_s = wall_seconds();
    CHECK_TEXT(refusal_bytes(text, bytes), "accepted");
    bytes += (size_t)snprintf(text + bytes, capacity - bytes, "key_777: 0\n");
    CHECK_TEXT(refusal_bytes(text, bytes),
               "f.yaml:100001:1: key \"key_777\" is given twice; the first is in line 778");
    /* Looking for the key from the start each time would take minutes. */
    CHECK(wall_seconds() - started_s < 20);
    arena_free(arena);
}

static void test_bad_aliases(void)
{
    CHECK_TEXT(refusal("a: *x\n"),
               "f.yaml:1:4: alias \"*x\" has no complete anchor before it; expected \"&x\"");
    CHECK_HOLDS(refusal("a: &x [1, *x]\n"), "f.yaml:1:11: alias \"*x\" has no complete anchor before it");
    CHECK_HOLDS(refusal("a: &x {b: {c: *x}}\n"), "f.yaml:1:15: alias \"*x\"");
    CHECK_HOLDS(refusal("a: &x [1]\n*x : 2\n"), "f.yaml:2:1: a map or list stands for a key");
    CHECK_HOLDS(refusal("{[a]: 1}\n"), "f.yaml:1:2: a map or list stands for a key; expected text");
    CHECK_HOLDS(refusal("? {a: b}\n: 1\n"), "f.yaml:1:3: a map or list stands for a key; expected text");
}

/* Ten to the power of nine pieces in half a kilobyte. */
static void test_alias_bomb(void)
{
    char text[1024];
    size_t used = (size_t)snprintf(text, sizeof text, "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for (int i = 1; i < 9; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++) {
            used += (size_t)snprintf(text + used, sizeof text - used, "%s*a%d", j > 0 ? "," : "", i - 1);
        }
        used += (size_t)snprintf(text + used, sizeof text - used, "]\n");
    }
    struct fixture fixture = parsed(text);
    CHECK_EQUAL(fixture.status, STATUS_INPUT);
    CHECK_HOLDS(fixture.diag.text, "f.yaml:7:");
    CHECK_HOLDS(fixture.diag.text, "more than 4194304 pieces, aliases expanded");
    CHECK(arena_used_bytes(fixture.arena) < 100000);
    arena_free(fixture.arena);
}

static void test_too_many_pieces(void)
{
    char *items = repeated("-\n", (size_t)4 << 20);
    CHECK_HOLDS(refusal(items), "f.yaml:4194304:2: more than 4194304 pieces");
    /* One less, with the list itself: at the bound, not above. */
    CHECK_TEXT(refusal_bytes(items, strlen(items) - 2), "accepted");
    free(items);
}

static char *nested(const char *open, size_t open_count, const char *close, size_t close_count)
{
    char *front = repeated(open, open_count), *back = repeated(close, close_count);
    char *text = malloc(strlen(front) + strlen(back) + 1);
    strcpy(text, front);
    strcat(text, back);
    free(front);
    free(back);
    return text;
}

static void test_depth(void)
{
    static const struct {
        const char *open, *close;
        size_t count;
        const char *outcome;
    } cases[] = {
        {"[", "]", 64, "accepted"},
        {"[", "]", 65, "f.yaml:1:65: nested more than 64 deep; expected a flatter document"},
        {"{a: ", "}", 64, "accepted"},
        {"{a: ", "}", 65, "f.yaml:1:257: nested more than 64 deep; expected a flatter document"},
        {"- ", "", 64, "accepted"},
        {"- ", "", 65, "f.yaml:1:129: nested more than 64 deep; expected a flatter document"},
        {"[", "", 1000000, "f.yaml:1:"},
        {"{", "", 1000000, "f.yaml:1:"},
        {"- ", "", 1000000, "f.yaml:1:"},
        {"? ", "", 1000000, "f.yaml:1:"},
        {"[{a: ", "", 1000000, "f.yaml:1:"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = nested(cases[i].open, cases[i].count, cases[i].close, cases[i].count);
        CHECK_HOLDS(refusal(text), cases[i].outcome);
        free(text);
    }
}

/* An alias adds the depth of what it stands for, also where that is an alias in turn. */
static void test_depth_through_aliases(void)
{
    char *inner = nested("[", 40, "]", 40);
    for (size_t outer_count = 22; outer_count <= 23; outer_count++) {
        char *front = repeated("[", outer_count), *back = repeated("]", outer_count);
        char text[512];
        snprintf(text, sizeof text, "a: &x %s\nb: %s[*x]%s\n", inner, front, back);
        CHECK_HOLDS(refusal(text), outer_count == 22 ? "accepted" : "f.yaml:2:28: nested more than 64 deep");
        snprintf(text, sizeof text, "a: &x %s\nb: &y [*x]\nc: %s*y%s\n", inner, front, back);
        CHECK_HOLDS(refusal(text), outer_count == 22 ? "accepted" : "f.yaml:3:27: nested more than 64 deep");
        free(front);
        free(back);
    }
    free(inner);
}

static void test_broken_yaml(void)
{
    CHECK_TEXT(
        refusal("a: [1,\n 2\nb: 3\n"),
        "f.yaml:3:2: not YAML: did not find expected ',' or ']' while parsing a flow sequence that begins in "
        "line 1; expected valid YAML");
    CHECK_HOLDS(refusal("a: \"x\n"),
                "f.yaml:2:1: not YAML: found unexpected end of stream while scanning a quoted");
    CHECK_HOLDS(refusal("a: {b: 1\n"), "f.yaml:2:1: not YAML: did not find expected ',' or '}'");
    CHECK_HOLDS(refusal("a: 1\n b: 2\n"), "f.yaml:2:3: not YAML: ");
    CHECK_HOLDS(refusal("a:\n\tb: 1\n"), "f.yaml:2:1: not YAML: found character that cannot start any token");
    CHECK_HOLDS(refusal("a: @x\n"), "f.yaml:1:4: not YAML: ");
    CHECK_HOLDS(refusal("a: 1\nb\nc: 2\n"), "f.yaml:");
    CHECK_HOLDS(refusal("%YAML 9.9\n---\na: 1\n"), "f.yaml:1:1: not YAML: found incompatible YAML document");
}

static void test_second_document(void)
{
    CHECK_TEXT(refusal("a: 1\n---\nb: 2\n"),
               "f.yaml:2:1: a second document begins; expected one document in a file");
    CHECK_TEXT(refusal("a: 1\n...\n"), "accepted");
    CHECK_HOLDS(refusal("---\n---\n"), "f.yaml:2:1: a second document");
}

static void test_no_text(void)
{
    static const char nul[] = "a: 1\nbc: x\0y\n";
    CHECK_TEXT(refusal_bytes(nul, sizeof nul - 1),
               "f.yaml:2:6: not text: control characters are not allowed; expected YAML in UTF-8");
    CHECK_HOLDS(refusal("a: 1\nb: \xff\n"), "f.yaml:2:4: not text: invalid leading UTF-8 octet");
    CHECK_HOLDS(refusal("a: \xc3\xa4\xc3("), "f.yaml:1:6: not text: invalid trailing UTF-8 octet");
    CHECK_HOLDS(refusal("\xff\xfe"
                        "a"),
                "f.yaml:1:1: not text: ");
    CHECK_HOLDS(refusal("\x7f"
                        "ELF\x02\x01\x01"),
                "f.yaml:1:1: not text: ");
    CHECK_TEXT(refusal("a: \"x\\0y\"\n"),
               "f.yaml:1:4: text holds a NUL character; expected text without one");
    CHECK_HOLDS(refusal("\"a\\0b\": 1\n"), "f.yaml:1:1: text holds a NUL");
}

/* ---- files --------------------------------------------------------------------------------------------- */

static const char *file_write(const char *name, const char *text)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", test_directory(), name);
    FILE *stream = fopen(path, "wb");
    CHECK(stream != NULL);
    fputs(text, stream);
    fclose(stream);
    return path;
}

static void test_load(void)
{
    struct arena *arena = arena_new("test");
    const struct doc *root = NULL;
    struct diag diag;
    CHECK_EQUAL(doc_load(file_write("a.yaml", "a: 1\n"), arena, &root, &diag), STATUS_OK);
    CHECK_TEXT(doc_get(root, "a")->text, "1");
    CHECK_HOLDS(root->at.path, "/a.yaml");
    char *long_text = nested("k: ", 1, "long ", 100000);
    CHECK_EQUAL(doc_load(file_write("b.yaml", long_text), arena, &root, &diag), STATUS_OK);
    CHECK_EQUAL(strlen(doc_get(root, "k")->text), 500000 - 1);
    free(long_text);
    CHECK_EQUAL(doc_load(file_write("c.yaml", "a: 1\na: 2\n"), arena, &root, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "/c.yaml:2:1: key \"a\" is given twice");
    CHECK_EQUAL(doc_load(file_write("d.yaml", ""), arena, &root, &diag), STATUS_OK);
    CHECK_EQUAL(root->kind, DOC_MAP);
    CHECK_EQUAL(root->child_count, 0);
    arena_free(arena);
}

static void test_load_failures(void)
{
    struct arena *arena = arena_new("test");
    const struct doc *root = NULL;
    struct diag diag;
    CHECK_EQUAL(doc_load("/nowhere/x.yaml", arena, &root, &diag), STATUS_INPUT);
    CHECK_TEXT(diag.text, "/nowhere/x.yaml: cannot be opened: No such file or directory");
    CHECK_EQUAL(doc_load(test_directory(), arena, &root, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "cannot be read: Is a directory");
    if (access("/dev/zero", R_OK) == 0) {
        CHECK_EQUAL(doc_load("/dev/zero", arena, &root, &diag), STATUS_INPUT);
        CHECK_TEXT(diag.text, "/dev/zero: is a device; expected a regular file");
    }
    char path[1024];
    snprintf(path, sizeof path, "%s/pipe.yaml", test_directory());
    CHECK(mkfifo(path, 0600) == 0);
    CHECK_EQUAL(doc_load(path, arena, &root, &diag), STATUS_INPUT); /* and does not wait for a writer */
    CHECK_HOLDS(diag.text, "pipe.yaml: is a pipe; expected a regular file");
    snprintf(path, sizeof path, "%s/large.yaml", test_directory());
    FILE *large = fopen(path, "wb");
    CHECK(large != NULL && ftruncate(fileno(large), (64 << 20) + 1) == 0 && fclose(large) == 0);
    CHECK_EQUAL(doc_load(path, arena, &root, &diag), STATUS_INPUT);
    CHECK_HOLDS(diag.text, "large.yaml: larger than 64 MiB; expected a configuration");
    CHECK(root == NULL);
    arena_free(arena);
}

/* ---- damage -------------------------------------------------------------------------------------------- */

static const char *const seeds[] = {
    "# a fabric\nfamily: fat_tree\nparams:\n  tiers: 3\n  link_rate: 400Gbps\n  delay: 500ns\n"
    "links:\n  - &up {from: gpu, to: nic, rate: 50GB/s}\n  - *up\n  - {<<: x, 'k': \"v\\n\\u20ac\"}\n"
    "text: |\n  several\n  lines\nfolded: >-\n  of\n\n  text\n? complex\n: value\nempty:\nlist: [1, [2, [3, "
    "{a: b}]]]\n",
    "{\"jobs\": [{\"trace\": \"a.job\", \"ranks\": [0, 1, 2]}, {\"trace\": null}], \"x\": {}}",
    "%YAML 1.1\n%TAG ! tag:x,2000:\n--- !map\na: !!int 1\nb: !x &q [ *q ]\n...\n",
};

/* Bytes that mean something to YAML, besides plain noise. */
static const char special[] = "\n\r\t :-?[]{},&*!|>'\"%@`#<=~\\0\x01\x7f\xc3\xe2\xf0\xff";

#define FUZZ_BYTES_MAX 2048

struct damage {
    uint64_t seed, stream, ordinal;
    char text[FUZZ_BYTES_MAX];
    size_t length;
};

static uint32_t draw_below(struct damage *damage, size_t bound)
{
    return rng_below(rng_draw(damage->seed, damage->stream, damage->ordinal++), (uint32_t)bound);
}

static void span_copy(struct damage *damage)
{
    size_t from = draw_below(damage, damage->length), to = draw_below(damage, damage->length);
    size_t bytes = 1 + draw_below(damage, damage->length - from);
    if (damage->length + bytes <= FUZZ_BYTES_MAX) {
        char span[FUZZ_BYTES_MAX];
        memcpy(span, damage->text + from, bytes);
        memmove(damage->text + to + bytes, damage->text + to, damage->length - to);
        memcpy(damage->text + to, span, bytes);
        damage->length += bytes;
    }
}

static void span_delete(struct damage *damage)
{
    size_t from = draw_below(damage, damage->length);
    size_t bytes = draw_below(damage, damage->length - from);
    memmove(damage->text + from, damage->text + from + bytes, damage->length - from - bytes);
    damage->length -= bytes;
}

static void damage_once(struct damage *damage)
{
    size_t place = draw_below(damage, damage->length);
    switch (draw_below(damage, 6)) {
    case 0:
        damage->text[place] = (char)draw_below(damage, 256);
        break;
    case 1:
        damage->text[place] ^= (char)(1 << draw_below(damage, 7));
        break;
    case 2:
        span_copy(damage);
        break;
    case 3:
        span_delete(damage);
        break;
    case 4:
        damage->length = place + 1;
        break;
    default:
        damage->text[place] = special[draw_below(damage, sizeof special)];
        break;
    }
}

/* Counts the pieces of a tree; 0 where it breaks the rules of doc.h. */
static uint64_t tree_check(const struct doc *node, uint32_t depth)
{
    uint64_t total = 1;
    uint32_t count = 0;
    bool is_scalar = node->kind == DOC_SCALAR;
    if (depth > 64 || node->at.line == 0 || node->at.column == 0 || is_scalar != (node->text != NULL)) {
        return 0;
    }
    for (const struct doc *child = node->child; child != NULL; child = child->next, count++) {
        uint64_t below = tree_check(child, depth + 1);
        if (below == 0 || (child->key != NULL) != (node->kind == DOC_MAP)) {
            return 0;
        }
        total += below;
    }
    return count == node->child_count ? total : 0;
}

static bool is_outcome_good(const struct damage *damage)
{
    struct fixture fixture = parsed_bytes(damage->text, damage->length);
    bool is_good;
    if (fixture.status == STATUS_OK) {
        is_good = tree_check(fixture.root, 0) > 0;
    } else {
        is_good = fixture.status == STATUS_INPUT && strncmp(fixture.diag.text, "f.yaml:", 7) == 0 &&
                  strchr(fixture.diag.text, ';') != NULL && strchr(fixture.diag.text, '\n') == NULL;
    }
    arena_free(fixture.arena);
    return is_good;
}

static void test_damaged_documents(void)
{
    struct damage damage = {.seed = test_seed()};
    uint64_t bad_count = 0;
    double started_s = wall_seconds();
    alarm(300); /* a hang kills the test program */
    for (uint64_t i = 0; i < 30000; i++) {
        const char *seed = seeds[i % (sizeof seeds / sizeof seeds[0])];
        damage.stream = i;
        damage.ordinal = 0;
        damage.length = strlen(seed);
        memcpy(damage.text, seed, damage.length);
        for (uint32_t times = 1 + draw_below(&damage, 8); times > 0 && damage.length > 0; times--) {
            damage_once(&damage);
        }
        if (!is_outcome_good(&damage) && bad_count++ < 3) {
            printf("\ndamaged document %" PRIu64 ":\n%.*s\n", i, (int)damage.length, damage.text);
        }
    }
    alarm(0);
    CHECK_EQUAL(bad_count, 0);
    CHECK(wall_seconds() - started_s < 200);
}

TEST_MAIN("doc", TEST(test_positions), TEST(test_json), TEST(test_line_ends_and_marks), TEST(test_empty),
          TEST(test_get), TEST(test_path_and_text_are_copied), TEST(test_aliases), TEST(test_duplicate_keys),
          TEST(test_duplicate_key_in_a_large_map), TEST(test_bad_aliases), TEST(test_alias_bomb),
          TEST(test_too_many_pieces), TEST(test_depth), TEST(test_depth_through_aliases),
          TEST(test_broken_yaml), TEST(test_second_document), TEST(test_no_text), TEST(test_load),
          TEST(test_load_failures), TEST(test_damaged_documents))
