--
-- PostgreSQL database cluster dump
--
\restrict abc
SET client_encoding = 'UTF8';
CREATE ROLE "trade;r";
ALTER ROLE "trade;r" WITH SUPERUSER PASSWORD 'SCRAM-SHA-256$4096:a''b;c';
COMMENT ON ROLE x IS E'it\'s; $tag$';
CREATE FUNCTION f() RETURNS text AS $body$ BEGIN; RETURN 'x'; END $body$ LANGUAGE plpgsql;
/* a ; comment /* nested */ */ GRANT a TO b;
\unrestrict abc
