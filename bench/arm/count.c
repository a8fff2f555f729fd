/* Counts the instructions that an emulated ARM program executes, by class and by region: a plugin for qemu-arm.
 *
 *     cc -shared -fPIC -O2 -o count.so bench/arm/count.c
 *     qemu-arm -plugin count.so,out=counts.csv …
 *
 * The program names the region it enters by a system call that does nothing: getpriority(MARK, region), in Python
 * os.getpriority(0x4D54, region), which fails as it should. Region 0 is where it starts.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Version 1 of QEMU's plugin interface, as far as it is used here. */
typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*exec_callback)(unsigned, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern char *qemu_plugin_insn_disas(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, exec_callback, int, void *);
extern void qemu_plugin_register_vcpu_syscall_cb(
    qemu_plugin_id_t,
    void (*)(qemu_plugin_id_t, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t));
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
__attribute__((visibility("default"))) int qemu_plugin_version = 1;

enum { INTEGER, LOAD_STORE, VECTOR_LOAD_STORE, VFP, NEON_64, NEON_128, CLASSES };
static const char *const NAMES[CLASSES] = {"integer", "load_store", "vector_load_store", "vfp", "neon_64", "neon_128"};
enum { REGIONS = 64, MARK = 0x4D54, GETPRIORITY = 96, NO_REGISTERS = 0 };

static uint64_t counts[REGIONS][CLASSES];
static unsigned region;
static const char *out = "counts.csv";

static int begins(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* From the disassembly: mnemonic, spaces, operands. */
static int class_of(const char *text) {
    const char *operands = strchr(text, ' ');
    if (*text != 'v' || operands == NULL) {
        int memory = begins(text, "ldr") || begins(text, "str") || begins(text, "ldm") || begins(text, "stm") ||
                     begins(text, "push") || begins(text, "pop") || begins(text, "ldrex") || begins(text, "strex");
        return memory ? LOAD_STORE : INTEGER;
    }
    if (begins(text, "vld") || begins(text, "vst") || begins(text, "vpush") || begins(text, "vpop"))
        return VECTOR_LOAD_STORE;
    operands += strspn(operands, " \t");
    if (*operands == 'q' || strstr(operands, ", q") != NULL)
        return NEON_128;
    if (*operands == 's' || strstr(text, ".f64") != NULL || begins(text, "vmrs") || begins(text, "vmsr") || *operands == 'r')
        return VFP;
    return NEON_64;
}

static void executed(unsigned cpu, void *block) {
    (void)cpu;
    const uint32_t *of_block = block;
    for (int kind = 0; kind < CLASSES; kind++)
        counts[region][kind] += of_block[kind];
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    uint32_t *of_block = calloc(CLASSES, sizeof *of_block); /* lives as long as the block may run: to the end */
    for (size_t number = 0; number < qemu_plugin_tb_n_insns(block); number++) {
        char *text = qemu_plugin_insn_disas(qemu_plugin_tb_get_insn(block, number));
        of_block[class_of(text)]++;
        free(text);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, NO_REGISTERS, of_block);
}

static void called(qemu_plugin_id_t id, unsigned cpu, int64_t number, uint64_t which, uint64_t who, uint64_t a3, uint64_t a4,
                   uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
    (void)id, (void)cpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
    if (number == GETPRIORITY && which == MARK)
        region = (unsigned)who % REGIONS;
}

static void ended(qemu_plugin_id_t id, void *nothing) {
    (void)id, (void)nothing;
    FILE *file = fopen(out, "w");
    if (file == NULL)
        return;
    fputs("region", file);
    for (int kind = 0; kind < CLASSES; kind++)
        fprintf(file, ",%s", NAMES[kind]);
    fputc('\n', file);
    for (int number = 0; number < REGIONS; number++) {
        uint64_t total = 0;
        for (int kind = 0; kind < CLASSES; kind++)
            total += counts[number][kind];
        if (total == 0)
            continue;
        fprintf(file, "%d", number);
        for (int kind = 0; kind < CLASSES; kind++)
            fprintf(file, ",%llu", (unsigned long long)counts[number][kind]);
        fputc('\n', file);
    }
    fclose(file);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int number = 0; number < argc; number++)
        if (begins(argv[number], "out="))
            out = strdup(argv[number] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
