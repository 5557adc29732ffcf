PRAGMA application_id = 1634562416;
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE bindings (
	vhost TEXT NOT NULL, 
	source TEXT NOT NULL, 
	destination_type TEXT NOT NULL, 
	destination TEXT NOT NULL, 
	routing_key TEXT NOT NULL, 
	arguments_key TEXT NOT NULL, 
	arguments TEXT NOT NULL, 
	CONSTRAINT pk_bindings PRIMARY KEY (vhost, source, destination_type, destination, routing_key, arguments_key), 
	CONSTRAINT fk_bindings_vhost FOREIGN KEY(vhost) REFERENCES vhosts (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "bindings" VALUES('/','amq.topic','exchange','events','#','[]','[]');
INSERT INTO "bindings" VALUES('/','events','exchange','audit','','[]','[]');
INSERT INTO "bindings" VALUES('/','events','queue','orders','','[["kind","longstr","order"],["x-match","longstr","any"]]','[["x-match","longstr","any"],["kind","longstr","order"]]');
INSERT INTO "bindings" VALUES('/','events','queue','orders-late','late','[]','[]');
CREATE TABLE exchanges (
	vhost TEXT NOT NULL, 
	name TEXT NOT NULL, 
	type TEXT NOT NULL, 
	durable BOOLEAN NOT NULL, 
	auto_delete BOOLEAN NOT NULL, 
	internal BOOLEAN NOT NULL, 
	arguments TEXT NOT NULL, 
	CONSTRAINT pk_exchanges PRIMARY KEY (vhost, name), 
	CONSTRAINT fk_exchanges_vhost FOREIGN KEY(vhost) REFERENCES vhosts (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "exchanges" VALUES('/','audit','topic',1,1,1,'[["bool","bool",true],["byte","byte",-1],["unsignedbyte","unsignedbyte",255],["short","short",-32768],["unsignedshort","unsignedshort",65535],["signedint","signedint",-2147483648],["unsignedint","unsignedint",4294967295],["long","long",-9223372036854775808],["longlong","longlong",9223372036854775807],["float","float",0.5],["double","double",0.1],["infinite","double",{"hex":"fff0000000000000"}],["decimal","decimal",[2,314]],["longstr","longstr","grüße"],["longstr","longstr",{"hex":"ff00"}],["binary","binary","\u0000\u0001"],["timestamp","timestamp",18446744073709551615],["array","array",[["longstr","a"],["array",[]],["void",null]]],["table","table",[["b","longstr","1"],["a","table",[]],["b","bool",false]]],["void","void",null]]');
INSERT INTO "exchanges" VALUES('/','events','headers',1,0,0,'[["alternate-exchange","longstr","audit"]]');
CREATE TABLE global_parameters (
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_global_parameters PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "global_parameters" VALUES('cluster_name','"amqpd@häuschen"');
INSERT INTO "global_parameters" VALUES('nothing','null');
CREATE TABLE parameters (
	vhost TEXT NOT NULL, 
	component TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_parameters PRIMARY KEY (vhost, component, name), 
	CONSTRAINT fk_parameters_vhost FOREIGN KEY(vhost) REFERENCES vhosts (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "parameters" VALUES('/','shovel','move','{"src-uri":["amqp://"],"ack-mode":"on-confirm"}');
CREATE TABLE permissions (
	user TEXT NOT NULL, 
	vhost TEXT NOT NULL, 
	configure TEXT NOT NULL, 
	write TEXT NOT NULL, 
	read TEXT NOT NULL, 
	CONSTRAINT pk_permissions PRIMARY KEY (user, vhost), 
	CONSTRAINT fk_permissions_user FOREIGN KEY(user) REFERENCES users (name) ON DELETE CASCADE, 
	CONSTRAINT fk_permissions_vhost FOREIGN KEY(vhost) REFERENCES vhosts (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "permissions" VALUES('ann','/','.*','.*','.*');
INSERT INTO "permissions" VALUES('ann','Zürich','','^orders-','.*');
INSERT INTO "permissions" VALUES('bob','/','','','^orders-');
CREATE TABLE policies (
	vhost TEXT NOT NULL, 
	operator BOOLEAN NOT NULL, 
	name TEXT NOT NULL, 
	pattern TEXT NOT NULL, 
	definition TEXT NOT NULL, 
	apply_to TEXT NOT NULL, 
	priority INTEGER NOT NULL, 
	CONSTRAINT pk_policies PRIMARY KEY (vhost, operator, name), 
	CONSTRAINT fk_policies_vhost FOREIGN KEY(vhost) REFERENCES vhosts (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "policies" VALUES('/',0,'ttl','^orders','{"message-ttl":1000,"x":[1.5,null,"ü"]}','queues',7);
INSERT INTO "policies" VALUES('/',1,'ttl','.*','{"max-length":10}','all',0);
CREATE TABLE queues (
	vhost TEXT NOT NULL, 
	name TEXT NOT NULL, 
	type TEXT NOT NULL, 
	durable BOOLEAN NOT NULL, 
	auto_delete BOOLEAN NOT NULL, 
	arguments TEXT NOT NULL, 
	identity BLOB NOT NULL, 
	CONSTRAINT pk_queues PRIMARY KEY (vhost, name), 
	CONSTRAINT fk_queues_vhost FOREIGN KEY(vhost) REFERENCES vhosts (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "queues" VALUES('/','orders','classic',1,1,'[["x-message-ttl","signedint",60000],["x-queue-mode","longstr","lazy"]]',X'000102030405060708090A0B0C0D0E0F');
INSERT INTO "queues" VALUES('/','orders-late','quorum',1,0,'[]',X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF');
INSERT INTO "queues" VALUES('Zürich','orders','stream',1,0,'[["bool","bool",true],["byte","byte",-1],["unsignedbyte","unsignedbyte",255],["short","short",-32768],["unsignedshort","unsignedshort",65535],["signedint","signedint",-2147483648],["unsignedint","unsignedint",4294967295],["long","long",-9223372036854775808],["longlong","longlong",9223372036854775807],["float","float",0.5],["double","double",0.1],["infinite","double",{"hex":"fff0000000000000"}],["decimal","decimal",[2,314]],["longstr","longstr","grüße"],["longstr","longstr",{"hex":"ff00"}],["binary","binary","\u0000\u0001"],["timestamp","timestamp",18446744073709551615],["array","array",[["longstr","a"],["array",[]],["void",null]]],["table","table",[["b","longstr","1"],["a","table",[]],["b","bool",false]]],["void","void",null]]',X'616E206964656E74697479206F662073');
CREATE TABLE state (
	id INTEGER NOT NULL CONSTRAINT ck_state_one_row CHECK (id = 1), 
	sequence INTEGER NOT NULL, 
	CONSTRAINT pk_state PRIMARY KEY (id)
);
INSERT INTO "state" VALUES(1,42);
CREATE TABLE topic_permissions (
	user TEXT NOT NULL, 
	vhost TEXT NOT NULL, 
	exchange TEXT NOT NULL, 
	write TEXT NOT NULL, 
	read TEXT NOT NULL, 
	CONSTRAINT pk_topic_permissions PRIMARY KEY (user, vhost, exchange), 
	CONSTRAINT fk_topic_permissions_user FOREIGN KEY(user) REFERENCES users (name) ON DELETE CASCADE, 
	CONSTRAINT fk_topic_permissions_vhost FOREIGN KEY(vhost) REFERENCES vhosts (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "topic_permissions" VALUES('bob','/','amq.topic','^{username}-.*','.*');
INSERT INTO "topic_permissions" VALUES('bob','/','events','','^public');
CREATE TABLE user_limits (
	user TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value INTEGER NOT NULL, 
	CONSTRAINT pk_user_limits PRIMARY KEY (user, name), 
	CONSTRAINT fk_user_limits_user FOREIGN KEY(user) REFERENCES users (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "user_limits" VALUES('ann','max-channels',0);
CREATE TABLE users (
	name TEXT NOT NULL, 
	password_hash TEXT NOT NULL, 
	hashing_algorithm TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	CONSTRAINT pk_users PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "users" VALUES('ann','cGFzcw==','rabbit_password_hashing_sha256','["administrator","monitoring"]');
INSERT INTO "users" VALUES('bob','','argon2','[]');
CREATE TABLE vhost_limits (
	vhost TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value INTEGER NOT NULL, 
	CONSTRAINT pk_vhost_limits PRIMARY KEY (vhost, name), 
	CONSTRAINT fk_vhost_limits_vhost FOREIGN KEY(vhost) REFERENCES vhosts (name) ON DELETE CASCADE
)
 WITHOUT ROWID

;
INSERT INTO "vhost_limits" VALUES('/','max-connections',100);
INSERT INTO "vhost_limits" VALUES('/','max-queues',-1);
CREATE TABLE vhosts (
	name TEXT NOT NULL, 
	description TEXT NOT NULL, 
	tags TEXT NOT NULL, 
	default_queue_type TEXT NOT NULL, 
	CONSTRAINT pk_vhosts PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "vhosts" VALUES('/','','[]','');
INSERT INTO "vhosts" VALUES('Zürich','Büro','["a","ü"]','quorum');
CREATE INDEX ix_bindings_vhost_destination_type_destination ON bindings (vhost, destination_type, destination);
COMMIT;
