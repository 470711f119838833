BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
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
	updated_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT known_status CHECK (status IN ('queued', 'uploading', 'importing', 'active', 'deactivated', 'deleted')), 
	CONSTRAINT importing_has_a_task CHECK (status <> 'importing' OR task_id IS NOT NULL), 
	CONSTRAINT active_has_a_size CHECK (status NOT IN ('active', 'deactivated') OR size IS NOT NULL)
);
INSERT INTO "images" VALUES('17e52a87-a174-45f0-8ac5-7e53f253dd6b','waiting','queued',NULL,'raw',NULL,NULL,NULL,NULL,'virus','Eicar','["file"]',NULL,1,'2026-11-22T22:36:08.656907Z','2026-11-22T22:36:08.677054Z');
INSERT INTO "images" VALUES('0cd2f56b-aa23-43e7-8153-eb431334de80','moving','importing',NULL,'raw',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'02558d45-4644-4130-b0e2-5f79de47da48',1,'2026-11-22T22:36:08.662453Z','2026-11-22T22:36:08.681108Z');
INSERT INTO "images" VALUES('bf3e7ddc-5ae7-4d7a-87a8-98e82608c959','in','active',NULL,'qcow2','bare',5,50,'{"sha256":"abababababababababababababababababababababababababababababababab"}',NULL,NULL,NULL,NULL,1,'2026-11-22T22:36:08.664420Z','2026-11-22T22:36:08.687337Z');
INSERT INTO "images" VALUES('9bf51324-79e4-4873-9069-f23e36e9f295','asleep','deactivated',NULL,'qcow2','bare',5,50,'{"sha256":"abababababababababababababababababababababababababababababababab"}',NULL,NULL,NULL,NULL,1,'2026-11-22T22:36:08.666080Z','2026-11-22T22:36:08.699200Z');
INSERT INTO "images" VALUES('afc58ab2-0913-4040-82f3-f3328fe1b379','gone','deleted',NULL,'raw',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,'2026-11-22T22:36:08.667857Z','2026-11-22T22:36:08.701207Z');
CREATE TABLE properties (
	image_id VARCHAR(36) NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	source VARCHAR(255) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (image_id, name, source), 
	FOREIGN KEY(image_id) REFERENCES images (id)
);
INSERT INTO "properties" VALUES('17e52a87-a174-45f0-8ac5-7e53f253dd6b','mine','','1');
INSERT INTO "properties" VALUES('0cd2f56b-aa23-43e7-8153-eb431334de80','mine','','1');
INSERT INTO "properties" VALUES('bf3e7ddc-5ae7-4d7a-87a8-98e82608c959','mine','','1');
INSERT INTO "properties" VALUES('9bf51324-79e4-4873-9069-f23e36e9f295','mine','','1');
INSERT INTO "properties" VALUES('afc58ab2-0913-4040-82f3-f3328fe1b379','mine','','1');
INSERT INTO "properties" VALUES('bf3e7ddc-5ae7-4d7a-87a8-98e82608c959','format.seen','format','qcow2');
INSERT INTO "properties" VALUES('9bf51324-79e4-4873-9069-f23e36e9f295','format.seen','format','qcow2');
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
	updated_at VARCHAR(32) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT known_on_failure CHECK (on_failure IN ('requeue', 'remove')), 
	CONSTRAINT known_step CHECK (step IN ('receiving', 'publishing', 'done')), 
	CONSTRAINT done_has_an_outcome CHECK ((step = 'done') = (outcome IS NOT NULL)), 
	FOREIGN KEY(image_id) REFERENCES images (id)
);
INSERT INTO "tasks" VALUES('396efadb-274c-45ad-8143-145428503531','17e52a87-a174-45f0-8ac5-7e53f253dd6b','direct','{"plugins":[{"name":"format","digest":"00"}]}','requeue','done',0,NULL,NULL,'refused','virus','Eicar',1,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-22T22:36:08.669636Z','2026-11-22T22:36:08.678514Z');
INSERT INTO "tasks" VALUES('02558d45-4644-4130-b0e2-5f79de47da48','0cd2f56b-aa23-43e7-8153-eb431334de80','direct','{"plugins":[{"name":"format","digest":"00"}]}','requeue','receiving',0,NULL,NULL,NULL,NULL,NULL,1,NULL,NULL,NULL,NULL,NULL,NULL,'2026-11-22T22:36:08.680700Z','2026-11-22T22:36:08.680700Z');
INSERT INTO "tasks" VALUES('5db0214c-26ba-4686-8553-b28a2d901e8c','bf3e7ddc-5ae7-4d7a-87a8-98e82608c959','direct','{"plugins":[{"name":"format","digest":"00"}]}','requeue','done',0,NULL,'{"verdicts":[]}','accepted',NULL,NULL,1,5,50,'{"sha256":"abababababababababababababababababababababababababababababababab"}','qcow2','bare','{"format.seen":["qcow2","format"]}','2026-11-22T22:36:08.682841Z','2026-11-22T22:36:08.688797Z');
INSERT INTO "tasks" VALUES('73178640-3240-4b82-9610-09a65e542b2b','9bf51324-79e4-4873-9069-f23e36e9f295','direct','{"plugins":[{"name":"format","digest":"00"}]}','requeue','done',0,NULL,'{"verdicts":[]}','accepted',NULL,NULL,1,5,50,'{"sha256":"abababababababababababababababababababababababababababababababab"}','qcow2','bare','{"format.seen":["qcow2","format"]}','2026-11-22T22:36:08.692719Z','2026-11-22T22:36:08.697767Z');
CREATE INDEX images_by_status ON images (status, created_at);
CREATE INDEX tasks_by_image ON tasks (image_id, created_at);
CREATE INDEX tasks_by_outcome ON tasks (outcome);
COMMIT;
