/*
 * A stand-in for pyxis, the plugin that gives srun its --container-… options, for clusters without enroot: a real
 * SPANK plugin, so that Slurm itself parses, forwards and refuses the options, and real mount namespaces, so that a
 * step sees what was mounted for it and nothing else of what the image hides.
 *
 * An image is a directory with two files: "hide" lists the paths of the host that are not in the image, "environ" the
 * NAME=VALUE pairs that are. Named containers live as files under the directory state=DIR of plugstack.conf, per node,
 * and making one takes a second: as with pyxis, a step that comes meanwhile does not get it. DIR/log has a line per
 * step and node: "<job>.<step> <node> create|attach|anonymous [<name>]". Tasks need root.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <slurm/slurm.h>
#include <slurm/spank.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

SPANK_PLUGIN(container, 1)

enum { IMAGE = 1, NAME, MOUNTS, WORKDIR, ENV, IGNORED };

static char *values[IGNORED];
static char state[4096];

static int take(int which, const char *value, int remote) {
	(void)remote;
	if (which < IGNORED) {
		free(values[which]);
		values[which] = strdup(value ? value : "");
	}
	return 0;
}

static int fail(const char *what, const char *path) {
	slurm_error("container: %s %s: %s", what, path, strerror(errno));
	return -1;
}

int slurm_spank_init(spank_t sp, int ac, char **av) {
	static struct spank_option options[] = {
		{"container-image", "IMAGE", "image of the step", 1, IMAGE, take},
		{"container-name", "NAME", "create or use the container of this name", 1, NAME, take},
		{"container-mounts", "SRC:DST[:FLAGS],...", "bind mounts", 1, MOUNTS, take},
		{"container-workdir", "DIR", "working directory inside", 1, WORKDIR, take},
		{"container-env", "NAME,...", "variables of the step that win over the image's", 1, ENV, take},
		{"container-remap-root", NULL, "accepted", 0, IGNORED, take},
		{"no-container-remap-root", NULL, "accepted", 0, IGNORED, take},
		{"container-mount-home", NULL, "accepted", 0, IGNORED, take},
		{"no-container-mount-home", NULL, "accepted", 0, IGNORED, take},
		{"no-container-entrypoint", NULL, "accepted", 0, IGNORED, take},
		SPANK_OPTIONS_TABLE_END,
	};
	for (int i = 0; i < ac; i++)
		if (!strncmp(av[i], "state=", 6))
			snprintf(state, sizeof state, "%s", av[i] + 6);
	if (spank_context() != S_CTX_LOCAL && spank_context() != S_CTX_REMOTE)
		return 0;
	for (struct spank_option *o = options; o->name; o++)
		if (spank_option_register(sp, o) != ESPANK_SUCCESS)
			return -1;
	return 0;
}

/* In srun: options that say nothing without an image are refused. */
int slurm_spank_init_post_opt(spank_t sp, int ac, char **av) {
	(void)sp, (void)ac, (void)av;
	for (int i = NAME; i < IGNORED; i++)
		if (spank_context() == S_CTX_LOCAL && values[i] && !values[IMAGE] && !values[NAME]) {
			slurm_error("container: options need --container-image or --container-name");
			return -1;
		}
	return 0;
}

/* Every node of the cluster is this host: the name of the one that we are stands in the step's list of nodes. */
static int node_name(spank_t sp, char *name, size_t size) {
	char list[4096];
	uint32_t index = 0;
	if (spank_getenv(sp, "SLURM_STEP_NODELIST", list, sizeof list) || spank_get_item(sp, S_JOB_NODEID, &index))
		return fail("no name for", "this node");
	hostlist_t nodes = slurm_hostlist_create(list);
	char *found = NULL;
	for (uint32_t i = 0; i <= index; i++) {
		free(found);
		found = slurm_hostlist_shift(nodes);
	}
	snprintf(name, size, "%s", found ? found : "");
	free(found);
	slurm_hostlist_destroy(nodes);
	return found ? 0 : fail("not in the step's nodes", list);
}

static int create(const char *path) {
	char lock[8300];
	if (!values[IMAGE])
		return fail("no such container:", path);
	snprintf(lock, sizeof lock, "%s.lock", path);
	int fd = open(lock, O_CREAT | O_EXCL | O_WRONLY, 0600);
	if (fd < 0)
		return fail("could not acquire rootfs lock", path);
	close(fd);
	sleep(1);
	return rename(lock, path) ? fail("cannot make", path) : 0;
}

/* Once per node and step: create the container, or attach to it. */
int slurm_spank_user_init(spank_t sp, int ac, char **av) {
	(void)ac, (void)av;
	if (!values[IMAGE] && !values[NAME])
		return 0;
	uint32_t job = 0, step = 0;
	char node[256] = "", path[8192];
	const char *how = "anonymous";
	spank_get_item(sp, S_JOB_ID, &job);
	spank_get_item(sp, S_JOB_STEPID, &step);
	if (node_name(sp, node, sizeof node))
		return -1;
	if (values[NAME]) {
		snprintf(path, sizeof path, "%s/%s", state, node);
		mkdir(path, 0700);
		snprintf(path, sizeof path, "%s/%s/%s", state, node, values[NAME]);
		how = "attach";
		if (access(path, F_OK)) {
			how = "create";
			if (create(path))
				return -1;
		}
	}
	snprintf(path, sizeof path, "%s/log", state);
	FILE *log = fopen(path, "a");
	if (!log)
		return fail("cannot write", path);
	fprintf(log, "%u.%u %s %s %s\n", job, step, node, how, values[NAME] ? values[NAME] : "");
	return fclose(log);
}

static int make_dirs(char *path) { /* as mkdir -p */
	for (char *p = path + 1; *p; p++)
		if (*p == '/') {
			*p = 0;
			mkdir(path, 0755);
			*p = '/';
		}
	return mkdir(path, 0755) && errno != EEXIST ? fail("cannot make", path) : 0;
}

/* bind puts what src was before the image hid things at dst. */
static int bind_at(int src, char *dst, bool read_only) {
	struct stat st;
	char from[64];
	snprintf(from, sizeof from, "/proc/self/fd/%d", src);
	if (fstat(src, &st) || !S_ISDIR(st.st_mode))
		return fail("not a directory:", dst);
	if (make_dirs(dst) || mount(from, dst, NULL, MS_BIND | MS_REC, NULL))
		return fail("cannot mount", dst);
	if (read_only && mount(NULL, dst, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL))
		return fail("cannot make read-only", dst);
	return 0;
}

static FILE *of_image(const char *name) {
	char path[8192];
	snprintf(path, sizeof path, "%s/%s", values[IMAGE], name);
	FILE *f = fopen(path, "r");
	if (!f)
		fail("cannot read", path);
	return f;
}

static bool wins(const char *name) {
	size_t n = strlen(name);
	for (const char *p = values[ENV]; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : "")
		if (!strncmp(p, name, n) && (p[n] == ',' || !p[n]))
			return true;
	return false;
}

static int set_environment(spank_t sp) {
	char line[4096], *value;
	FILE *f = of_image("environ");
	if (!f)
		return -1;
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		if (!(value = strchr(line, '=')))
			continue;
		*value++ = 0;
		if (!wins(line))
			spank_setenv(sp, line, value, 1);
	}
	fclose(f);
	return 0;
}

/* Each task, before it runs: the image's environment, and only what was mounted. */
int slurm_spank_task_init_privileged(spank_t sp, int ac, char **av) {
	(void)ac, (void)av;
	if (!values[IMAGE])
		return 0;
	int sources[64], n = 0;
	char *targets[64], line[4096] = "", *rest = NULL;
	bool read_only[64];
	if (set_environment(sp))
		return -1;
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return fail("cannot leave the host's", "mounts");
	for (char *m = strtok_r(values[MOUNTS] ? values[MOUNTS] : line, ",", &rest); m; m = strtok_r(NULL, ",", &rest)) {
		char *dst = strchr(m, ':'), *flags;
		if (n == 64 || !dst)
			return fail("bad mount", m);
		*dst++ = 0;
		if ((flags = strchr(dst, ':')))
			*flags++ = 0;
		if ((sources[n] = open(m, O_PATH | O_CLOEXEC)) < 0)
			return fail("cannot mount", m);
		read_only[n] = flags && !strcmp(flags, "ro");
		targets[n++] = dst;
	}
	FILE *hide = of_image("hide");
	if (!hide)
		return -1;
	while (fgets(line, sizeof line, hide)) {
		line[strcspn(line, "\n")] = 0;
		if (mount("image", line, "tmpfs", 0, "mode=0755"))
			return fail("cannot hide", line);
	}
	fclose(hide);
	for (int i = 0; i < n; i++)
		if (bind_at(sources[i], targets[i], read_only[i]))
			return -1;
	return 0;
}

int slurm_spank_task_init(spank_t sp, int ac, char **av) {
	(void)sp, (void)ac, (void)av;
	const char *dir = values[WORKDIR] ? values[WORKDIR] : "/";
	return values[IMAGE] && chdir(dir) ? fail("no working directory", dir) : 0;
}
