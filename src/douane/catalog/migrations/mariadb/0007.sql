-- The first catalog in MariaDB. Where SQLite and PostgreSQL have an index of an expression, there is a stored column with
-- its value (`..._key`, `..._start`); where they have an index of the images that are not deleted, it begins with `live`.
-- `held` is counted up by transactions that need the row of an image and change nothing else in it (`holding.py`).

CREATE TABLE images (
    id VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    status VARCHAR(16) NOT NULL,
    owner VARCHAR(255),
    disk_format VARCHAR(64),
    container_format VARCHAR(64),
    size BIGINT,
    virtual_size BIGINT,
    digests LONGTEXT,
    code VARCHAR(255),
    message LONGTEXT,
    failed_stores LONGTEXT,
    task_id VARCHAR(36),
    token BIGINT NOT NULL,
    created_at VARCHAR(32) NOT NULL,
    updated_at VARCHAR(32) NOT NULL,
    visibility VARCHAR(16) NOT NULL DEFAULT 'private',
    protected BOOL NOT NULL DEFAULT false,
    hidden BOOL NOT NULL DEFAULT false,
    min_disk BIGINT NOT NULL DEFAULT 0,
    min_ram BIGINT NOT NULL DEFAULT 0,
    checksum VARCHAR(255),
    os_hash_algo VARCHAR(255),
    os_hash_value VARCHAR(255),
    wanted_store VARCHAR(255),
    live BOOL GENERATED ALWAYS AS (status <> 'deleted') STORED,
    name_key VARCHAR(255) GENERATED ALWAYS AS (coalesce(name, '')) STORED,
    size_key BIGINT GENERATED ALWAYS AS (coalesce(size, -1)) STORED,
    disk_format_key VARCHAR(64) GENERATED ALWAYS AS (coalesce(disk_format, '')) STORED,
    container_format_key VARCHAR(64) GENERATED ALWAYS AS (coalesce(container_format, '')) STORED,
    held BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    CONSTRAINT known_status CHECK (status IN ('queued', 'uploading', 'importing', 'active', 'deactivated', 'deleted')),
    CONSTRAINT known_visibility CHECK (visibility IN ('public', 'community', 'shared', 'private')),
    CONSTRAINT importing_has_a_task CHECK (status <> 'importing' OR task_id IS NOT NULL),
    CONSTRAINT active_has_a_size CHECK (status NOT IN ('active', 'deactivated') OR size IS NOT NULL),
    INDEX images_by_checksum (live, checksum, id),
    INDEX images_by_container_format (live, container_format_key, created_at, id),
    INDEX images_by_created_at (live, created_at, id),
    INDEX images_by_disk_format (live, disk_format_key, created_at, id),
    INDEX images_by_hidden (live, hidden, created_at, id, protected, min_ram, status, owner, visibility),
    INDEX images_by_min_disk (live, min_disk, id),
    INDEX images_by_min_ram (live, min_ram, created_at, id, hidden, protected, status, owner, visibility),
    INDEX images_by_name (live, name_key, created_at, id),
    INDEX images_by_os_hash_algo (live, os_hash_algo, id),
    INDEX images_by_os_hash_value (live, os_hash_value, id),
    INDEX images_by_owner_and_container_format (live, owner, container_format_key, created_at, id),
    INDEX images_by_owner_and_created_at (
        live, owner, created_at, id, hidden, protected, min_ram, status, visibility
    ),
    INDEX images_by_owner_and_disk_format (live, owner, disk_format_key, created_at, id),
    INDEX images_by_owner_and_id (live, owner, id),
    INDEX images_by_owner_and_name (live, owner, name_key, created_at, id),
    INDEX images_by_owner_and_size (live, owner, size_key, created_at, id),
    INDEX images_by_owner_and_status (live, owner, status, created_at, id),
    INDEX images_by_owner_and_updated_at (live, owner, updated_at, created_at, id),
    INDEX images_by_protected (live, protected, created_at, id, hidden, min_ram, status, owner, visibility),
    INDEX images_by_size (live, size_key, created_at, id),
    INDEX images_by_status (live, status, created_at, id, hidden, protected, min_ram, owner, visibility),
    INDEX images_by_updated_at (live, updated_at, created_at, id),
    INDEX images_by_virtual_size (live, virtual_size, id),
    INDEX images_by_visibility_and_container_format (
        live, visibility, container_format_key, created_at, id, hidden, status, owner
    ),
    INDEX images_by_visibility_and_created_at (
        live, visibility, created_at, id, hidden, protected, min_ram, status, owner
    ),
    INDEX images_by_visibility_and_disk_format (
        live, visibility, disk_format_key, created_at, id, hidden, status, owner
    ),
    INDEX images_by_visibility_and_id (live, visibility, id, hidden, status, owner),
    INDEX images_by_visibility_and_name (live, visibility, name_key, created_at, id, hidden, status, owner),
    INDEX images_by_visibility_and_size (live, visibility, size_key, created_at, id, hidden, status, owner),
    INDEX images_by_visibility_and_status (live, visibility, status, created_at, id, hidden, owner),
    INDEX images_by_visibility_and_updated_at (live, visibility, updated_at, created_at, id, hidden, status, owner)
);

CREATE TABLE members (
    image_id VARCHAR(36) NOT NULL,
    project VARCHAR(255) NOT NULL,
    status VARCHAR(16) NOT NULL,
    created_at VARCHAR(32) NOT NULL,
    updated_at VARCHAR(32) NOT NULL,
    PRIMARY KEY (image_id, project),
    CONSTRAINT known_member_status CHECK (status IN ('pending', 'accepted', 'rejected')),
    FOREIGN KEY(image_id) REFERENCES images (id),
    INDEX members_by_project (project, status, image_id)
);

CREATE TABLE properties (
    image_id VARCHAR(36) NOT NULL,
    name VARCHAR(255) NOT NULL,
    source VARCHAR(255) NOT NULL,
    value LONGTEXT NOT NULL,
    value_start VARCHAR(255) GENERATED ALWAYS AS (substr(value, 1, 255)) STORED,
    PRIMARY KEY (image_id, name, source),
    FOREIGN KEY(image_id) REFERENCES images (id),
    INDEX properties_by_value (name, value_start, image_id)
);

CREATE TABLE stores (
    image_id VARCHAR(36) NOT NULL,
    store VARCHAR(255) NOT NULL,
    facts LONGTEXT,
    size BIGINT,
    PRIMARY KEY (image_id, store),
    FOREIGN KEY(image_id) REFERENCES images (id),
    INDEX stores_by_store (store, image_id)
);

CREATE TABLE tags (
    image_id VARCHAR(36) NOT NULL,
    tag VARCHAR(255) NOT NULL,
    PRIMARY KEY (image_id, tag),
    FOREIGN KEY(image_id) REFERENCES images (id),
    INDEX tags_by_tag (tag, image_id)
);

CREATE TABLE tasks (
    id VARCHAR(36) NOT NULL,
    image_id VARCHAR(36) NOT NULL,
    method VARCHAR(64) NOT NULL,
    plan LONGTEXT NOT NULL,
    on_failure VARCHAR(16) NOT NULL,
    step VARCHAR(16) NOT NULL,
    done BIGINT NOT NULL,
    total BIGINT,
    report LONGTEXT,
    outcome VARCHAR(16),
    code VARCHAR(255),
    message LONGTEXT,
    token BIGINT NOT NULL,
    size BIGINT,
    virtual_size BIGINT,
    digests LONGTEXT,
    disk_format VARCHAR(64),
    container_format VARCHAR(64),
    properties LONGTEXT,
    created_at VARCHAR(32) NOT NULL,
    updated_at VARCHAR(32) NOT NULL,
    owner VARCHAR(255),
    user_id VARCHAR(255),
    request_id VARCHAR(255),
    import_req LONGTEXT,
    stores LONGTEXT,
    expires_at VARCHAR(32),
    worker VARCHAR(255),
    lease_until VARCHAR(32),
    attempts BIGINT NOT NULL DEFAULT 0,
    staged_key VARCHAR(36),
    source LONGTEXT,
    requested BOOL NOT NULL DEFAULT true,
    plan_digest VARCHAR(255),
    declared LONGTEXT,
    verdict VARCHAR(16),
    trace VARCHAR(64),
    variants LONGTEXT,
    PRIMARY KEY (id),
    CONSTRAINT known_on_failure CHECK (on_failure IN ('requeue', 'remove')),
    CONSTRAINT known_step CHECK (step IN ('waiting', 'receiving', 'staged', 'publishing', 'done')),
    CONSTRAINT done_has_an_outcome CHECK ((step = 'done') = (outcome IS NOT NULL)),
    CONSTRAINT worker_has_a_lease CHECK ((worker IS NULL) = (lease_until IS NULL)),
    CONSTRAINT waiting_has_no_worker CHECK (step NOT IN ('waiting', 'staged', 'done') OR worker IS NULL),
    FOREIGN KEY(image_id) REFERENCES images (id),
    INDEX tasks_by_creation (created_at, id),
    INDEX tasks_by_end (updated_at, id),
    INDEX tasks_by_expiry (expires_at),
    INDEX tasks_by_image (image_id, created_at),
    INDEX tasks_unfinished (outcome, created_at, id)
);

