// Package reconcile makes the ledger and Clerk agree. Clerk has no webhook for
// application invitations, people revoke in its dashboard, other programs use
// the same key, and Redis can be lost: so from time to time it looks at the
// whole state of both sides, and settles every difference. It never acts on
// events, and never on an absence that it has seen only once.
//
// A recent pass reads the newest invitations down to known ground, every few
// minutes. A full pass reads all of them, daily and at start. Both spend a share
// of the read quota and leave the rest to deliveries.
//
// What a difference means stands in one table (table.go):
//
//	ledger \ Clerk   pending   accepted   expired    revoked
//	pending          agree     accepted   expired    revoked
//	expired          lag       accepted   agree      revoked
//	revoked          lag       accepted   agree      agree
//	accepted         lag       agree      agree      agree
//	unknown          pending   accepted   expired    revoked   (found: same address, created after it was sent)
//	anything else    leave
//
// "lag" is a list that is behind what Clerk has told us already, or a ledger that
// is just being told: it is counted and left alone. Invitations without a record
// are foreign, unless they were settled so long ago that a record of ours would be
// forgotten by now. But if a record for their address was canceled, failed or
// parked although a call had left within the quarter of an hour before, that call
// has arrived late: the record takes the
// invitation up, and one that was canceled is revoked.
//
// An invitation that is pending in the ledger and absent from a full pass whose
// two scans agreed is nominated, looked for by its id twice some time apart, and
// only then reported as missing. A read may come from a replica that lags, by
// seconds or by hours; but it is then Clerk as it was, and shows nothing newer than
// that. So an absence counts only for what is older than the newest invitation
// that the list has shown, whatever the lag. (In a list in which nothing is new, a
// lag of an hour could still deceive it: then two looks would have to be deceived
// as well, and what follows is a line in a report, unless somebody has asked for
// --requeue-missing.)
package reconcile
