-- What was handed on stays here for some seconds: should Redis turn out to have forgotten it, it is handed on again.
CREATE TABLE inviteq_outbox_handed (
	seq       bigint NOT NULL,
	id        text NOT NULL,
	invite    text NOT NULL,
	handed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX inviteq_outbox_handed_at ON inviteq_outbox_handed (handed_at);
