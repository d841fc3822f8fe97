-- The outbox of inviteq: an invite that a service asks for in the transaction of its own
-- that is the reason for it. A relay (inviteq outbox, or outbox.Relay) hands rows on to
-- inviteq and deletes them.
CREATE TABLE inviteq_outbox (
	seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id         text NOT NULL UNIQUE,           -- the invite's id: what makes a repetition harmless
	invite     text NOT NULL,                  -- JSON, as in a task's payload; it holds the address
	created_at timestamptz NOT NULL DEFAULT now(),
	problem    text                            -- why inviteq refuses it; NULL for what waits. Set it to NULL to try again.
);

-- What waits, in its order.
CREATE INDEX inviteq_outbox_waiting ON inviteq_outbox (seq) WHERE problem IS NULL;
