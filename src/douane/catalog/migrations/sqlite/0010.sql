-- The catalog of revision 0010 as the migrations make it (sqlite3.Connection.iterdump), for new ones: `database.py`.
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0010');
CREATE TABLE chores (
	name VARCHAR(64) NOT NULL,
	worker VARCHAR(255),
	lease_until VARCHAR(32) NOT NULL,
	due_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (name)
);
CREATE TABLE cordons (
	place VARCHAR(255) NOT NULL,
	created_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (place)
);
CREATE TABLE images (
	id VARCHAR(36) NOT NULL,
	name VARCHAR(255),
	status VARCHAR(16) NOT NULL,
	owner VARCHAR(255),
	disk_format VARCHAR(64),
	container_format VARCHAR(64),
	size BIGINT,
	virtual_size BIGINT,
	digests TEXT,
	code VARCHAR(255),
	message TEXT,
	failed_stores TEXT,
	task_id VARCHAR(36),
	token BIGINT NOT NULL,
	created_at VARCHAR(32) NOT NULL,
	updated_at VARCHAR(32) NOT NULL, visibility VARCHAR(16) DEFAULT 'private' NOT NULL CONSTRAINT known_visibility CHECK (visibility IN ('public', 'community', 'shared', 'private')), protected BOOLEAN DEFAULT 0 NOT NULL, hidden BOOLEAN DEFAULT 0 NOT NULL, min_disk BIGINT DEFAULT '0' NOT NULL, min_ram BIGINT DEFAULT '0' NOT NULL, checksum VARCHAR(255), os_hash_algo VARCHAR(255), os_hash_value VARCHAR(255), wanted_store VARCHAR(255),
	PRIMARY KEY (id),
	CONSTRAINT known_status CHECK (status IN ('queued', 'uploading', 'importing', 'active', 'deactivated', 'deleted')),
	CONSTRAINT importing_has_a_task CHECK (status <> 'importing' OR task_id IS NOT NULL),
	CONSTRAINT active_has_a_size CHECK (status NOT IN ('active', 'deactivated') OR size IS NOT NULL)
);
CREATE TABLE marks (
	name VARCHAR(64) NOT NULL,
	value VARCHAR(255) NOT NULL,
	PRIMARY KEY (name)
);
INSERT INTO "marks" VALUES('oldest_revision','0008');
INSERT INTO "marks" VALUES('grace_until','1970-01-01T00:00:00.000Z');
CREATE TABLE members (
	image_id VARCHAR(36) NOT NULL,
	project VARCHAR(255) NOT NULL,
	status VARCHAR(16) NOT NULL,
	created_at VARCHAR(32) NOT NULL,
	updated_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (image_id, project),
	CONSTRAINT known_member_status CHECK (status IN ('pending', 'accepted', 'rejected')),
	FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE properties (
	image_id VARCHAR(36) NOT NULL,
	name VARCHAR(255) NOT NULL,
	source VARCHAR(255) NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY (image_id, name, source),
	FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE reports (
	image_id VARCHAR(36) NOT NULL,
	task_id VARCHAR(36) NOT NULL,
	report TEXT NOT NULL,
	declared TEXT,
	variants TEXT,
	created_at VARCHAR(32) NOT NULL,
	token BIGINT NOT NULL,
	check_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (image_id, task_id),
	FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE store_identities (
	store VARCHAR(255) NOT NULL,
	identity VARCHAR(255) NOT NULL,
	created_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (store)
);
CREATE TABLE stores (
	image_id VARCHAR(36) NOT NULL,
	store VARCHAR(255) NOT NULL, facts TEXT, size BIGINT,
	PRIMARY KEY (image_id, store),
	FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE tags (
	image_id VARCHAR(36) NOT NULL,
	tag VARCHAR(255) NOT NULL,
	PRIMARY KEY (image_id, tag),
	FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE "tasks" (
	id VARCHAR(36) NOT NULL,
	image_id VARCHAR(36) NOT NULL,
	method VARCHAR(64) NOT NULL,
	"plan" TEXT NOT NULL,
	on_failure VARCHAR(16) NOT NULL,
	step VARCHAR(16) NOT NULL,
	done BIGINT NOT NULL,
	total BIGINT,
	report TEXT,
	outcome VARCHAR(16),
	code VARCHAR(255),
	message TEXT,
	token BIGINT NOT NULL,
	size BIGINT,
	virtual_size BIGINT,
	digests TEXT,
	disk_format VARCHAR(64),
	container_format VARCHAR(64),
	properties TEXT,
	created_at VARCHAR(32) NOT NULL,
	updated_at VARCHAR(32) NOT NULL,
	owner VARCHAR(255),
	user_id VARCHAR(255),
	request_id VARCHAR(255),
	import_req TEXT,
	stores TEXT,
	expires_at VARCHAR(32),
	worker VARCHAR(255),
	lease_until VARCHAR(32),
	attempts BIGINT DEFAULT '0' NOT NULL,
	staged_key VARCHAR(36),
	source TEXT,
	requested BOOLEAN DEFAULT 1 NOT NULL,
	plan_digest VARCHAR(255),
	declared TEXT,
	verdict VARCHAR(16), trace VARCHAR(64), variants TEXT, needs TEXT,
	PRIMARY KEY (id),
	CONSTRAINT known_on_failure CHECK (on_failure IN ('requeue', 'remove')),
	CONSTRAINT known_step CHECK (step IN ('waiting', 'receiving', 'staged', 'publishing', 'done')),
	CONSTRAINT done_has_an_outcome CHECK ((step = 'done') = (outcome IS NOT NULL)),
	CONSTRAINT worker_has_a_lease CHECK ((worker IS NULL) = (lease_until IS NULL)),
	CONSTRAINT waiting_has_no_worker CHECK (step NOT IN ('waiting', 'staged', 'done') OR worker IS NULL),
	FOREIGN KEY(image_id) REFERENCES images (id)
);
CREATE TABLE workers (
	name VARCHAR(255) NOT NULL,
	host VARCHAR(255) NOT NULL,
	pid BIGINT NOT NULL,
	version VARCHAR(64) NOT NULL,
	stores TEXT,
	state VARCHAR(16) NOT NULL,
	started_at VARCHAR(32) NOT NULL,
	seen_at VARCHAR(32) NOT NULL,
	PRIMARY KEY (name),
	CONSTRAINT known_worker_state CHECK (state IN ('active', 'cordoned', 'drained', 'gone'))
);
CREATE INDEX tags_by_tag ON tags (tag, image_id);
CREATE INDEX members_by_project ON members (project, status, image_id);
CREATE INDEX stores_by_store ON stores (store, image_id);
CREATE INDEX properties_by_value ON properties (name, substr(value, 1, 255), image_id);
CREATE INDEX images_by_created_at ON images (created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_updated_at ON images (updated_at, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_updated_at ON images (owner, updated_at, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_name ON images (coalesce(name, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_name ON images (owner, coalesce(name, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_size ON images (coalesce(size, -1), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_size ON images (owner, coalesce(size, -1), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_status ON images (owner, status, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_disk_format ON images (coalesce(disk_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_disk_format ON images (owner, coalesce(disk_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_container_format ON images (coalesce(container_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_container_format ON images (owner, coalesce(container_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_id ON images (owner, id) WHERE status != 'deleted';
CREATE INDEX tasks_by_image ON tasks (image_id, created_at);
CREATE INDEX tasks_by_creation ON tasks (created_at, id);
CREATE INDEX tasks_by_expiry ON tasks (expires_at);
CREATE INDEX tasks_unfinished ON tasks (created_at, id) WHERE outcome IS NULL;
CREATE INDEX images_by_owner_and_created_at ON images (owner, created_at, id, hidden, protected, min_ram, status, visibility) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_created_at ON images (visibility, created_at, id, hidden, protected, min_ram, status, owner) WHERE status != 'deleted';
CREATE INDEX images_by_status ON images (status, created_at, id, hidden, protected, min_ram, owner, visibility) WHERE status != 'deleted';
CREATE INDEX images_by_min_ram ON images (min_ram, created_at, id, hidden, protected, status, owner, visibility) WHERE status != 'deleted';
CREATE INDEX images_by_protected ON images (protected, created_at, id, hidden, min_ram, status, owner, visibility) WHERE status != 'deleted';
CREATE INDEX images_by_hidden ON images (hidden, created_at, id, protected, min_ram, status, owner, visibility) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_updated_at ON images (visibility, updated_at, created_at, id, hidden, status, owner) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_name ON images (visibility, coalesce(name, ''), created_at, id, hidden, status, owner) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_size ON images (visibility, coalesce(size, -1), created_at, id, hidden, status, owner) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_status ON images (visibility, status, created_at, id, hidden, owner) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_disk_format ON images (visibility, coalesce(disk_format, ''), created_at, id, hidden, status, owner) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_container_format ON images (visibility, coalesce(container_format, ''), created_at, id, hidden, status, owner) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_id ON images (visibility, id, hidden, status, owner) WHERE status != 'deleted';
CREATE INDEX images_by_checksum ON images (checksum, id) WHERE status != 'deleted';
CREATE INDEX images_by_os_hash_algo ON images (os_hash_algo, id) WHERE status != 'deleted';
CREATE INDEX images_by_os_hash_value ON images (os_hash_value, id) WHERE status != 'deleted';
CREATE INDEX images_by_virtual_size ON images (virtual_size, id) WHERE status != 'deleted';
CREATE INDEX images_by_min_disk ON images (min_disk, id) WHERE status != 'deleted';
CREATE INDEX tasks_by_end ON tasks (updated_at, id) WHERE outcome IS NOT NULL;
CREATE INDEX tasks_waiting ON tasks (step, created_at) WHERE step = 'waiting';
CREATE INDEX reports_by_check ON reports (check_at, image_id);
