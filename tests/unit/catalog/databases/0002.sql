BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
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
	updated_at VARCHAR(32) NOT NULL, visibility VARCHAR(16) DEFAULT 'private' NOT NULL CONSTRAINT known_visibility CHECK (visibility IN ('public', 'community', 'shared', 'private')), protected BOOLEAN DEFAULT 0 NOT NULL, hidden BOOLEAN DEFAULT 0 NOT NULL, min_disk BIGINT DEFAULT '0' NOT NULL, min_ram BIGINT DEFAULT '0' NOT NULL, checksum VARCHAR(255), os_hash_algo VARCHAR(255), os_hash_value VARCHAR(255), 
	PRIMARY KEY (id), 
	CONSTRAINT known_status CHECK (status IN ('queued', 'uploading', 'importing', 'active', 'deactivated', 'deleted')), 
	CONSTRAINT importing_has_a_task CHECK (status <> 'importing' OR task_id IS NOT NULL), 
	CONSTRAINT active_has_a_size CHECK (status NOT IN ('active', 'deactivated') OR size IS NOT NULL)
);
INSERT INTO "images" VALUES('bac5616d-1e4e-4b9d-9031-c5de7bd840a4','waiting','queued',NULL,'raw',NULL,NULL,NULL,NULL,'virus','Eicar','["file"]',NULL,1,'2026-11-29T19:49:46.934400Z','2026-11-29T19:49:46.987069Z','shared',0,0,0,0,NULL,NULL,NULL);
INSERT INTO "images" VALUES('fa4cf05c-9e4d-494b-b888-18b90a40a3e3','moving','importing',NULL,'raw',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'ad787d49-3cb9-4f92-8819-757caafe56f2',1,'2026-11-29T19:49:46.950745Z','2026-11-29T19:49:46.994897Z','shared',0,0,0,0,NULL,NULL,NULL);
INSERT INTO "images" VALUES('63b9e527-50e6-4c29-86c5-69d0b083a255','in','active',NULL,'qcow2','bare',5,50,'{"sha256":"abababababababababababababababababababababababababababababababab"}',NULL,NULL,NULL,NULL,1,'2026-11-29T19:49:46.952708Z','2026-11-29T19:49:47.026717Z','shared',0,0,0,0,NULL,'sha256','abababababababababababababababababababababababababababababababab');
INSERT INTO "images" VALUES('af165338-7d47-46b4-b3cb-208de53eb102','asleep','deactivated',NULL,'qcow2','bare',5,50,'{"sha256":"abababababababababababababababababababababababababababababababab"}',NULL,NULL,NULL,NULL,1,'2026-11-29T19:49:46.956879Z','2026-11-29T19:49:47.020387Z','shared',0,0,0,0,NULL,'sha256','abababababababababababababababababababababababababababababababab');
INSERT INTO "images" VALUES('357acd28-29fa-4177-9d94-7f7303b496b4','gone','deleted',NULL,'raw',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,'2026-11-29T19:49:46.963481Z','2026-11-29T19:49:47.038675Z','shared',0,0,0,0,NULL,NULL,NULL);
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
INSERT INTO "members" VALUES('bac5616d-1e4e-4b9d-9031-c5de7bd840a4','you','pending','2026-11-29T19:49:47.033352Z','2026-11-29T19:49:47.033352Z');
CREATE TABLE properties (
	image_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	source VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (image_id, name, source), 
	FOREIGN KEY(image_id) REFERENCES images (id)
);
INSERT INTO "properties" VALUES('bac5616d-1e4e-4b9d-9031-c5de7bd840a4','mine','','1');
INSERT INTO "properties" VALUES('fa4cf05c-9e4d-494b-b888-18b90a40a3e3','mine','','1');
INSERT INTO "properties" VALUES('63b9e527-50e6-4c29-86c5-69d0b083a255','mine','','1');
INSERT INTO "properties" VALUES('af165338-7d47-46b4-b3cb-208de53eb102','mine','','1');
INSERT INTO "properties" VALUES('357acd28-29fa-4177-9d94-7f7303b496b4','mine','','1');
INSERT INTO "properties" VALUES('63b9e527-50e6-4c29-86c5-69d0b083a255','format.seen','format','qcow2');
INSERT INTO "properties" VALUES('af165338-7d47-46b4-b3cb-208de53eb102','format.seen','format','qcow2');
CREATE TABLE stores (
	image_id VARCHAR(36) NOT NULL, 
	store VARCHAR(255) NOT NULL, 
	PRIMARY KEY (image_id, store), 
	FOREIGN KEY(image_id) REFERENCES images (id)
);
INSERT INTO "stores" VALUES('63b9e527-50e6-4c29-86c5-69d0b083a255','file');
INSERT INTO "stores" VALUES('af165338-7d47-46b4-b3cb-208de53eb102','file');
CREATE TABLE tags (
	image_id VARCHAR(36) NOT NULL, 
	tag VARCHAR(255) NOT NULL, 
	PRIMARY KEY (image_id, tag), 
	FOREIGN KEY(image_id) REFERENCES images (id)
);
INSERT INTO "tags" VALUES('63b9e527-50e6-4c29-86c5-69d0b083a255','kept');
CREATE TABLE tasks (
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
	updated_at VARCHAR(32) NOT NULL, owner VARCHAR(255), user_id VARCHAR(255), request_id VARCHAR(255), import_req TEXT, stores TEXT, expires_at VARCHAR(32), 
	PRIMARY KEY (id), 
	CONSTRAINT known_on_failure CHECK (on_failure IN ('requeue', 'remove')), 
	CONSTRAINT known_step CHECK (step IN ('receiving', 'publishing', 'done')), 
	CONSTRAINT done_has_an_outcome CHECK ((step = 'done') = (outcome IS NOT NULL)), 
	FOREIGN KEY(image_id) REFERENCES images (id)
);
INSERT INTO "tasks" VALUES('191eaee3-5896-4005-9952-e5ec214d031a','bac5616d-1e4e-4b9d-9031-c5de7bd840a4','direct','{"plugins":[{"name":"format","digest":"00"}]}','requeue','done',0,NULL,NULL,'refused','virus','Eicar',1,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29T19:49:46.966530Z','2026-11-29T19:49:46.988042Z',NULL,NULL,NULL,NULL,'["file"]',NULL);
INSERT INTO "tasks" VALUES('ad787d49-3cb9-4f92-8819-757caafe56f2','fa4cf05c-9e4d-494b-b888-18b90a40a3e3','direct','{"plugins":[{"name":"format","digest":"00"}]}','requeue','receiving',0,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-29T19:49:46.994516Z','2026-11-29T19:49:46.994516Z',NULL,NULL,NULL,NULL,'["file"]',NULL);
INSERT INTO "tasks" VALUES('c165ce8b-48a7-4dbc-8c7f-072fde7143a7','63b9e527-50e6-4c29-86c5-69d0b083a255','direct','{"plugins":[{"name":"format","digest":"00"}]}','requeue','done',0,NULL,'{"verdicts":[]}','accepted',NULL,NULL,1,5,50,'{"sha256":"abababababababababababababababababababababababababababababababab"}','qcow2','bare','{"format.seen":["qcow2","format"]}','2026-11-29T19:49:46.996488Z','2026-11-29T19:49:47.004919Z',NULL,NULL,NULL,NULL,'["file"]',NULL);
INSERT INTO "tasks" VALUES('c795e2fb-3d50-40f4-9ca2-0a384f844295','af165338-7d47-46b4-b3cb-208de53eb102','direct','{"plugins":[{"name":"format","digest":"00"}]}','requeue','done',0,NULL,'{"verdicts":[]}','accepted',NULL,NULL,1,5,50,'{"sha256":"abababababababababababababababababababababababababababababababab"}','qcow2','bare','{"format.seen":["qcow2","format"]}','2026-11-29T19:49:47.010797Z','2026-11-29T19:49:47.016518Z',NULL,NULL,NULL,NULL,'["file"]',NULL);
CREATE INDEX tasks_by_image ON tasks (image_id, created_at);
CREATE INDEX tasks_by_outcome ON tasks (outcome);
CREATE INDEX tags_by_tag ON tags (tag, image_id);
CREATE INDEX members_by_project ON members (project, status, image_id);
CREATE INDEX stores_by_store ON stores (store, image_id);
CREATE INDEX properties_by_value ON properties (name, substr(value, 1, 255), image_id);
CREATE INDEX images_by_created_at ON images (created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_created_at ON images (owner, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_created_at ON images (visibility, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_updated_at ON images (updated_at, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_updated_at ON images (owner, updated_at, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_updated_at ON images (visibility, updated_at, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_name ON images (coalesce(name, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_name ON images (owner, coalesce(name, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_name ON images (visibility, coalesce(name, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_size ON images (coalesce(size, -1), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_size ON images (owner, coalesce(size, -1), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_size ON images (visibility, coalesce(size, -1), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_status ON images (status, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_status ON images (owner, status, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_status ON images (visibility, status, created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_disk_format ON images (coalesce(disk_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_disk_format ON images (owner, coalesce(disk_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_disk_format ON images (visibility, coalesce(disk_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_container_format ON images (coalesce(container_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_container_format ON images (owner, coalesce(container_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_container_format ON images (visibility, coalesce(container_format, ''), created_at, id) WHERE status != 'deleted';
CREATE INDEX images_by_owner_and_id ON images (owner, id) WHERE status != 'deleted';
CREATE INDEX images_by_visibility_and_id ON images (visibility, id) WHERE status != 'deleted';
CREATE INDEX images_by_checksum ON images (checksum) WHERE status != 'deleted';
CREATE INDEX images_by_os_hash_algo ON images (os_hash_algo) WHERE status != 'deleted';
CREATE INDEX images_by_os_hash_value ON images (os_hash_value) WHERE status != 'deleted';
CREATE INDEX images_by_virtual_size ON images (virtual_size) WHERE status != 'deleted';
CREATE INDEX images_by_min_disk ON images (min_disk) WHERE status != 'deleted';
CREATE INDEX images_by_min_ram ON images (min_ram) WHERE status != 'deleted';
CREATE INDEX images_by_protected ON images (protected) WHERE status != 'deleted';
CREATE INDEX images_by_hidden ON images (hidden) WHERE status != 'deleted';
COMMIT;
