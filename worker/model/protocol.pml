/*
 * The protocol of package worker (../doc.go), for one address: its invites, their calls, and what Clerk makes of them.
 * Every script of the ledger, every call that Clerk carries out and every reading is one step; between two steps
 * anything may come. model_test.go plays it in worlds and with mutants: words in the environment variables WORLD and
 * MUTANT of the verifier, so that one binary does for all.
 *
 * It found steps that the code takes since: GONE_REJECTED, GAP_NOT_WAITED, GAP_NOT_WATCHED, SIBLING_OVERRUN and
 * ABSENCE_KEPT are the code as it was before (transcripts 28 to 34, TestWatchLeavesTheNextInviteAlone,
 * TestLateAnswerBeginsReadingsAnew).
 *
 * What it cannot say:
 *   - That nobody is mailed twice who has ignore_existing and whose call Redis has forgotten, if Clerk carries it out when
 *     its worker has given it up: the README says so, and no world plays it.
 *   - Time as numbers. That a call cannot be carried out any more (ledger.ArrivalBound) is an event, which comes after
 *     the call has arrived or never will, and when Clerk's list shows what it made. So the model believes what
 *     ../doc.go believes: no call arrives after its bound, no list lags longer, and a reading and the settlement of it
 *     are short against it. Clocks that differ are not in it: an invitation lies in the time of a call, or does not.
 *   - Quotas, gates, the breaker, attempts, deadlines, lanes: a turn is given whenever the protocol allows it.
 *   - Bulk calls: each call is for one invite. What a refused bulk may have done is not in it, nor who screens it.
 *   - Content but as "what our invites say" and "something else". The mark is never lost.
 *   - More than two invites, four calls, one wish, one invitation and one deed of other people, one loss of memory.
 *   - retry and release: what a person decides is a person's.
 *   - Within a minute: what the watch does it does at some time. Who is told of what.
 *
 * Everything has a budget, so that runs end: what must hold in the end is asked when nothing can happen any more. That
 * no run goes round in circles is meant, and not proved.
 */
#define T 4 /* calls */
#define K 5 /* invitations */
#define A 1 /* the invite that is asked for first, under an id of its caller's */
#define B 2 /* the one that is asked for second, under an id of our own */
#define bit(c) (1 << (c))

mtype = { none, queued, sending, unknown, pending, ended, rejected, canceled, parked }; /* an invite */
mtype = { noAnswer, died, exists, checking };                                           /* why it is unknown */
mtype = { unsent, away, arrived, dead };                                                /* a call */
mtype = { silent, made, refused };                                                      /* Clerk's answer */
mtype = { open, over };                                                                 /* an invitation */

/* What the world has; model_test.go explains the words. */
bool ie, mark, late, stall, wish, byID, second, others, twin, deeds, epochs, forgetful, two, echo;
/* The one bug that is planted. */
byte mut;
#define CLAIM_REQUEUED 1
#define SETTLED_BLINDLY 2
#define ONE_LOOK 3
#define LOST_RESENT 4
#define REFUSED_RESENT 5
#define REFUSED_BELIEVED 6
#define OWNED_BY_ADDRESS 7
#define OWNED_WITHOUT_TIME 8
#define OWNED_WITHOUT_CONTENT 9
#define CALLS_FORGOTTEN 10
#define BOUND_TOO_SHORT 11
#define NOTHING_WATCHED 12
#define RECALL_LEFT_OUT 13
#define CANCELED_UNSEEN 14
#define ADDRESS_NOT_HELD 15
#define WISH_WITHOUT_PLACE 16
#define WISH_WITHOUT_TIME 17
#define WISH_FORGOTTEN 18
#define LEAVING_REJECTED 19
#define MARK_IGNORED 20
#define MARK_NOT_WAITED 21
#define UNKNOWN_RESENT 22
#define EPOCH_UNNOTICED 23
#define NEWCOMER_TRUSTED 24
#define GAP_GUESSED 25
#define GAP_NOT_WAITED 26
#define GAP_NOT_WATCHED 27
#define SIBLING_OVERRUN 28
#define GONE_REJECTED 29
#define ABSENCE_KEPT 30

/* The ledger is what Redis may forget. noted are the calls that got no clear answer; busy is who holds the address. */
typedef Invite {
  mtype st = none;
  mtype why = noAnswer;
  byte turn;    /* the call that has claimed it last */
  bool absent;  /* a reading has not found it */
  byte upto;    /* the newest invitation at that reading: the next one shows it */
  byte hold;    /* it waits until this invitation has gone */
  byte inv;     /* its invitation at Clerk, if it owns one */
  bool wanted;  /* a revoke is wanted */
  bool watched; /* a call of it may still arrive, although it has ended */
  bool gap;     /* a call of it may have been forgotten, and may still arrive: noted as if it were known */
};
Invite r[3];
byte noted, busy;

/* A snapshot of it, to which Redis may go back. */
Invite was[3];
byte wasNoted, wasBusy;
bool snapped, epoch, recovering, gapOver;
byte before; /* calls that may have been forgotten, and may still arrive */

/* The world outside. */
byte n, who[T + 1], mine[3];
byte may; /* calls that have been claimed and are not past their bound */
mtype wire[T + 1] = unsent;
mtype answer[T + 1] = silent;
byte met[T + 1]; /* the invitation because of which a call was refused */
typedef Invitation {
  byte by;      /* the call that made it; 0: somebody else */
  byte during;  /* the calls that may have made it, by its time */
  mtype is = open;
  bool shown;   /* on Clerk's list */
  bool same;    /* it says what our invites say */
  bool inGap;   /* made when the ledger may have forgotten something */
  bool older;   /* than the wish */
};
Invitation im[K + 1];
byte created, mails[3], reading;
byte most, crashes = 1, losses = 1, delays = 1; /* how often a worker dies, Clerk loses something, a claim or a call takes too long */
byte left;                                /* calls with which their worker is done, or dead */
bool younger[3]; /* invites that were admitted after the wish */
bool after[3];   /* invites that were admitted after the epoch */
bool wished, granted, deed, strange, takenAway;

#define allShown (im[1].shown == (created >= 1) && im[2].shown == (created >= 2) && im[3].shown == (created >= 3) && \
  im[4].shown == (created >= 4) && im[5].shown == (created >= 5))

#define carried(c) (wire[c] == arrived || wire[c] == dead)

/* ---- whose is it (package ownership) ---- */

#define doubt(i) ((noted & mine[i]) != 0 || r[i].gap)
#define forgotten(i) (epoch && (!after[i] || (i == A && mut != NEWCOMER_TRUSTED)))
#define owned(k, but) ((r[A].inv == k && but != A) || (r[B].inv == k && but != B))
#define marks (mark && mut != MARK_IGNORED)
#define byCall(i, k) (!marks && (noted & mine[i] & (mut == OWNED_WITHOUT_TIME -> 255 : im[k].during)) != 0)
#define byGap(i, k) (forgotten(i) && im[k].inGap)
#define alike(k) (im[k].same || mut == OWNED_WITHOUT_CONTENT)
#define unsure (ie && mut != GAP_GUESSED)
#define ours(i, k) (mut == OWNED_BY_ADDRESS || \
  (marks && im[k].by != 0 -> who[im[k].by] == i : \
  (byCall(i, k) -> alike(k) : (byGap(i, k) && !unsure && alike(k)))))
#define unclear(i, k) (mut != OWNED_BY_ADDRESS && !(marks && im[k].by != 0) && \
  (byCall(i, k) -> !alike(k) : (byGap(i, k) && unsure)))

#define visible(i, k) (k <= created && im[k].shown && !owned(k, i))
#define hasOurs(i, k) (visible(i, k) && ours(i, k))
#define hasUnclear(i, k) (visible(i, k) && unclear(i, k))
/* The newest that fits. */
#define findOurs(i) (hasOurs(i, 5) -> 5 : (hasOurs(i, 4) -> 4 : (hasOurs(i, 3) -> 3 : (hasOurs(i, 2) -> 2 : (hasOurs(i, 1) -> 1 : 0)))))
#define anyUnclear(i) (hasUnclear(i, 1) || hasUnclear(i, 2) || hasUnclear(i, 3) || hasUnclear(i, 4) || hasUnclear(i, 5))

/* What stands in the way of an invite, and whether it is about to be revoked. */
#define inWay(k) (k <= created && im[k].shown && im[k].is == open)
#define sibling(i) (3 - (i))
#define wishMeans(j, i) (wished && !granted && !byID && !younger[j] && younger[i])
#define goes(i, k) (inWay(k) && (\
  (r[A].inv == k && (r[A].wanted || wishMeans(A, i))) || (r[B].inv == k && (r[B].wanted || wishMeans(B, i))) || \
  (!owned(k, 0) && wished && !granted && !byID && im[k].older && younger[i]) || \
  (!owned(k, 0) && doubt(sibling(i)) && ours(sibling(i), k))))
#define leaves(i) (goes(i, 1) -> 1 : (goes(i, 2) -> 2 : (goes(i, 3) -> 3 : (goes(i, 4) -> 4 : (goes(i, 5) -> 5 : 0)))))
#define blocked (inWay(1) || inWay(2) || inWay(3) || inWay(4) || inWay(5))

/* ---- the scripts of the ledger ---- */

#define isOpen(i) (r[i].st == queued || r[i].st == sending || r[i].st == unknown)
#define isSettled(i) (r[i].st != none && !isOpen(i))
#define taken(i) (busy != 0 && busy != i && isOpen(busy) && mut != ADDRESS_NOT_HELD)
#define claimed(i, c) (r[i].turn == c && r[i].st == sending)
#define holds(i, c) (r[i].turn == c && (r[i].st == sending || (r[i].st == unknown && r[i].why == died)))
/* A call of it that may have been forgotten, and may still arrive, is noted as soon as anything happens to it. */
#define noteGap(i) r[i].gap = r[i].gap || (forgotten(i) && !gapOver && mut != GAP_NOT_WATCHED)

inline move(i, to) {
  printf("story: invite %d: %d -> %d\n", i, r[i].st, to);
  r[i].st = to;
  noteGap(i);
  if
  :: to == sending || to == unknown || (to == queued && (noted & mine[i]) != 0) ->
     if
     :: busy != i && !taken(i) -> busy = i
     :: else
     fi
  :: else ->
     if
     :: busy == i -> busy = 0
     :: else
     fi
  fi;
  if
  :: isSettled(i) && to != pending -> r[i].wanted = false
  :: else
  fi;
  if
  :: to != unknown -> r[i].absent = false; r[i].upto = 0
  :: else
  fi;
  r[i].watched = (isSettled(i) && doubt(i) && mut != NOTHING_WATCHED)
}

/* note writes down that a call got no clear answer. */
inline note(c) {
  if
  :: mut == CALLS_FORGOTTEN
  :: mut == BOUND_TOO_SHORT -> noted = noted | bit(c); may = may & ~bit(c)
  :: else -> noted = noted | bit(c)
  fi
}

/* back settles an invite as queued or parked; one that is not wanted any more is canceled, after a reading. */
inline back(i, to) {
  if
  :: r[i].wanted && mut != WISH_FORGOTTEN ->
     if
     :: doubt(i) && r[i].st == sending -> r[i].why = checking; move(i, unknown)
     :: else -> move(i, canceled)
     fi
  :: else -> move(i, to)
  fi
}

inline take(i, k) {
  printf("story: invitation %d is taken for that of invite %d\n", k, i);
  /* Nobody else's invitation is taken for ours; between two invites that say the same only a mark tells. */
  assert(mark -> who[im[k].by] == i : twin || im[k].by != 0);
  r[i].inv = k;
  if
  :: im[k].is == open -> move(i, pending)
  :: else -> move(i, ended)
  fi
}

#define looksFirst(i) ((doubt(i) || forgotten(i)) && mut != CANCELED_UNSEEN)
#define cancelable(i) (!r[i].wanted && (isOpen(i) || r[i].st == pending || r[i].st == parked) && \
  !((r[i].st == queued || r[i].st == parked) && looksFirst(i) && taken(i)))
inline cancel(i) {
  if
  :: r[i].st == queued || r[i].st == parked ->
     if
     :: looksFirst(i) -> r[i].wanted = true; r[i].why = checking; move(i, unknown)
     :: else -> move(i, canceled)
     fi
  :: else -> r[i].wanted = true
  fi
}

/* ---- a worker's turn: claim, send, settle ---- */

/* With ignore_existing nothing but a reading prevents a second mail: it waits until no forgotten call can be under way. */
#define gapWait(i) (ie && forgotten(i) && !gapOver && mut != GAP_NOT_WAITED)
#define ready(i) (r[i].st == queued && n < most && !recovering && !taken(i) && !gapWait(i) && \
  (r[i].hold == 0 || im[r[i].hold].is != open || leaves(i) == 0))

/* answered settles a turn by Clerk's answer. */
inline answered(i, c, k) {
  if
  :: holds(i, c) || mut == SETTLED_BLINDLY ->
     if
     :: answer[c] == made ->
        k = (im[1].by == c -> 1 : (im[2].by == c -> 2 : (im[3].by == c -> 3 : (im[4].by == c -> 4 : 5))));
        take(i, k); k = 0
     :: answer[c] == refused && mut == REFUSED_RESENT -> back(i, queued)
     :: answer[c] == refused && mut == REFUSED_BELIEVED -> move(i, rejected)
     :: else ->
        r[i].why = exists;
        if /* What was read before the answer tells nothing of it. */
        :: mut != ABSENCE_KEPT -> r[i].absent = false; r[i].upto = 0
        :: else
        fi;
        move(i, unknown)
     fi
  :: else
  fi;
  may = (noted & bit(c) -> may : may & ~bit(c))
}

proctype Worker() {
  byte i, c, k;
  bool u;
end:
  do
  :: atomic {
       if
       :: ready(A) -> i = A
       :: ready(B) -> i = B
       fi;
       n++; c = n; who[c] = i; mine[i] = mine[i] | bit(c); may = may | bit(c);
       r[i].turn = c; r[i].hold = 0;
       printf("story: call %d claims invite %d\n", c, i);
       move(i, sending)
     };
     if /* Whoever a call may have invited before is looked for, just before the next. */
     :: atomic { (doubt(i) || forgotten(i)) && mut != RECALL_LEFT_OUT -> reading++; k = findOurs(i); u = anyUnclear(i) };
        atomic {
          reading--;
          if
          :: k != 0 || u ->
             wire[c] = dead; may = may & ~bit(c);
             if
             :: holds(i, c) && k != 0 && !owned(k, i) -> take(i, k)
             :: holds(i, c) && k == 0 -> back(i, parked)
             :: else
             fi;
             left = left | bit(c); c = 0
          :: else
          fi;
          k = 0; u = false
        }
     :: !((doubt(i) || forgotten(i)) && mut != RECALL_LEFT_OUT)
     fi;
     if
     :: c == 0
     :: atomic { c != 0 && crashes > 0 -> printf("story: the worker of call %d dies before it is sent\n", c);
          crashes--; wire[c] = dead; left = left | bit(c); c = 0 }
     :: atomic { c != 0 && (stall || claimed(i, c)) -> printf("story: call %d is sent\n", c); wire[c] = away }
     :: atomic { c != 0 && !claimed(i, c) -> wire[c] = dead; left = left | bit(c); c = 0 }
     fi;
     if
     :: c == 0
     :: atomic { c != 0 && answer[c] != silent -> answered(i, c, k); left = left | bit(c) }
     :: atomic { c != 0 && answer[c] == silent && (carried(c) || delays > 0) -> /* a timeout */
          printf("story: call %d is given up\n", c);
          delays = (carried(c) -> delays : delays - 1); left = left | bit(c);
          wire[c] = (wire[c] == away && !late -> dead : wire[c]);
          if
          :: holds(i, c) && mut == LOST_RESENT -> back(i, queued)
          :: holds(i, c) && mut != LOST_RESENT ->
             r[i].why = noAnswer; r[i].absent = false; r[i].upto = 0; note(c); move(i, unknown)
          :: else
          fi
        }
     :: atomic { c != 0 && crashes > 0 -> printf("story: the worker of call %d dies\n", c); crashes--; left = left | bit(c) } /* with the call on the wire */
     fi;
     d_step { i = 0; c = 0 }
  od
}

/* ---- unknown ---- */

/* One with a mark waits until its calls cannot arrive any more. A reading that would only tell it to wait on changes
   nothing, and is left out. */
#define marked(i) (ie && mark && mut != MARK_IGNORED && r[i].why != checking && doubt(i))
#define waits(i) ((marked(i) && (noted & mine[i] & may) != 0 && mut != MARK_NOT_WAITED) || \
  (r[i].why == checking && ie && forgotten(i) && !gapOver && mut != GAP_NOT_WAITED))
#define caughtUp(l) (l <= 0 || im[1].shown) && (l <= 1 || im[2].shown) && (l <= 2 || im[3].shown) && (l <= 3 || im[4].shown) && (l <= 4 || im[5].shown)
#define due(i) (r[i].st == unknown && (!waits(i) || findOurs(i) != 0) && caughtUp(r[i].upto))

/* What was in its way when its call was refused has ended since. */
#define hasGone(i) (met[r[i].turn] != 0 && im[met[r[i].turn]].shown && im[met[r[i].turn]].is == over && mut != GONE_REJECTED)

proctype Reader() {
  byte i, t, k, l, m;
  mtype y; /* what is decided is decided about the record as it was when it was handed out */
  bool u, b, g, p;
end:
  do
  :: atomic {
       if
       :: due(A) -> i = A
       :: due(B) -> i = B
       fi;
       reading++; t = r[i].turn; y = r[i].why; p = r[i].absent; m = created; g = hasGone(i); k = findOurs(i); u = anyUnclear(i); l = leaves(i); b = blocked
     };
     atomic {
       reading--;
       if
       :: r[i].st != unknown || r[i].turn != t || (k != 0 && owned(k, i))
       :: else ->
          if
          :: k != 0 -> take(i, k)
          :: k == 0 && y == exists && !u && l != 0 && mut != LEAVING_REJECTED ->
             back(i, queued); r[i].hold = l
          :: k == 0 && y == exists && !u && b && (l == 0 || mut == LEAVING_REJECTED) -> move(i, rejected)
          :: k == 0 && y == exists && !u && l == 0 && !b && g -> back(i, queued)
          :: k == 0 && !(y == exists && !u && (l != 0 || b || g)) ->
             if
             :: !p && mut != ONE_LOOK -> r[i].why = y; r[i].absent = true; r[i].upto = m
             :: else ->
                if
                :: u -> back(i, parked)
                :: !u && y == exists -> move(i, rejected)
                :: !u && y == checking -> back(i, queued)
                :: else ->
                   if
                   :: ie && !(mark && mut != MARK_IGNORED && doubt(i)) && mut != UNKNOWN_RESENT -> back(i, parked)
                   :: else -> back(i, queued)
                   fi
                fi
             fi
          fi
       fi;
       i = 0; t = 0; k = 0; l = 0; m = 0; u = false; b = false; g = false; p = false; y = noAnswer
     }
  od
}

/* ---- what workers do besides: claims that run out, the watch, revokes ---- */

inline expire(i) {
  wire[r[i].turn] = (wire[r[i].turn] == away && !late -> dead : wire[r[i].turn]);
  if
  :: mut == CLAIM_REQUEUED -> move(i, queued)
  :: else -> r[i].why = died; note(r[i].turn); move(i, unknown)
  fi
}

/* revoke is our own call; meant says that a wish for the address asks for it. */
inline revoke(k, meant) {
  printf("story: we revoke invitation %d\n", k);
  assert(meant || twin || im[k].by != 0); /* nobody else's is revoked */
  if
  :: im[k].is == open -> im[k].is = over; takenAway = true
  :: else
  fi
}

/* Another invite that is under way may have made it: then that one decides first. */
#define mayBeOf(i, k) (isOpen(i) && mut != SIBLING_OVERRUN && \
  ((r[i].st == sending && (im[k].during & bit(r[i].turn)) != 0) || ours(i, k) || unclear(i, k)))
#define lateOurs(i, k) (r[i].watched && hasOurs(i, k) && !owned(k, 0) && !mayBeOf(sibling(i), k) && (im[k].is == open || r[i].st == parked))
#define anyLate(i) (lateOurs(i, 1) || lateOurs(i, 2) || lateOurs(i, 3) || lateOurs(i, 4) || lateOurs(i, 5))
#define lateNow(i) (lateOurs(i, 1) -> 1 : (lateOurs(i, 2) -> 2 : (lateOurs(i, 3) -> 3 : (lateOurs(i, 4) -> 4 : 5))))

/* arrives: a lost call has made an invitation after its invite had ended. If that was given up it is the answer,
   otherwise it is one too many. */
inline arrives(i, k) {
  k = lateNow(i);
  if
  :: r[i].st == parked -> take(i, k)
  :: else ->
     revoke(k, false);
     if
     :: r[i].st == canceled -> r[i].inv = k; move(i, ended)
     :: else
     fi
  fi;
  k = 0
}

#define held(i, k) (hasOurs(i, k) && !owned(k, 0) && im[k].is == open && mayBeOf(sibling(i), k))
#define anyHeld(i) (held(i, 1) || held(i, 2) || held(i, 3) || held(i, 4) || held(i, 5))
#define unwatchable(i) (r[i].watched && (noted & mine[i] & may) == 0 && (!r[i].gap || gapOver) && !anyLate(i) && !anyHeld(i))
inline unwatch(i) { printf("story: invite %d is watched no longer\n", i); r[i].watched = false; noted = noted & ~mine[i]; r[i].gap = false }

inline carryOutRevoke(i) {
  assert(!wished || !younger[i]); /* nothing that was asked for after the wish */
  revoke(r[i].inv, false);
  r[i].wanted = false; move(i, ended)
}

/* A wish means every invite that was admitted before it, and every invitation that is older. */
#define means(i) (wished && (!younger[i] || mut == WISH_WITHOUT_PLACE) && (!byID || i == A))
#define stranger(k) (wished && !byID && inWay(k) && !owned(k, 0) && (im[k].older || mut == WISH_WITHOUT_TIME))
#define satisfied(i) (!means(i) || !(isOpen(i) || r[i].st == pending || r[i].st == parked))
inline revokeStranger(k) {
  assert(im[k].older); /* nothing that is younger than the wish */
  revoke(k, true)
}

proctype Chores() {
  byte k;
end:
  do
  :: atomic { r[A].st == sending && (left & bit(r[A].turn)) != 0 -> expire(A) }
  :: atomic { r[B].st == sending && (left & bit(r[B].turn)) != 0 -> expire(B) }
  :: atomic { r[A].st == sending && (left & bit(r[A].turn)) == 0 && delays > 0 -> delays--; expire(A) }
  :: atomic { r[B].st == sending && (left & bit(r[B].turn)) == 0 && delays > 0 -> delays--; expire(B) }
  :: atomic { anyLate(A) -> printf("story: the watch over invite 1 finds one\n"); arrives(A, k) }
  :: atomic { anyLate(B) -> printf("story: the watch over invite 2 finds one\n"); arrives(B, k) }
  :: atomic { unwatchable(A) -> unwatch(A) }
  :: atomic { unwatchable(B) -> unwatch(B) }
  :: atomic { r[A].st == pending && r[A].wanted -> carryOutRevoke(A) }
  :: atomic { r[B].st == pending && r[B].wanted -> carryOutRevoke(B) }
  :: atomic { !granted && means(A) && cancelable(A) -> cancel(A) }
  :: atomic { !granted && means(B) && cancelable(B) -> cancel(B) }
  :: atomic { !granted && stranger(1) -> revokeStranger(1) }
  :: atomic { !granted && stranger(2) -> revokeStranger(2) }
  :: atomic { !granted && stranger(3) -> revokeStranger(3) }
  :: atomic { !granted && stranger(4) -> revokeStranger(4) }
  :: atomic { !granted && stranger(5) -> revokeStranger(5) }
  :: atomic { wished && !granted && satisfied(A) && satisfied(B) && allShown &&
       !stranger(1) && !stranger(2) && !stranger(3) && !stranger(4) && !stranger(5) -> granted = true }
  :: atomic { recovering -> recovering = false }
  od
}

/* ---- Clerk ---- */

#define isOpenAt(k) (created >= k && im[k].is == open)
#define openOne (isOpenAt(1) -> 1 : (isOpenAt(2) -> 2 : (isOpenAt(3) -> 3 : (isOpenAt(4) -> 4 : 5))))
#define anyOpen ((created >= 1 && im[1].is == open) || (created >= 2 && im[2].is == open) || \
  (created >= 3 && im[3].is == open) || (created >= 4 && im[4].is == open) || (created >= 5 && im[5].is == open))

inline create(c) {
  created++;
  printf("story: Clerk makes invitation %d by call %d\n", created, c);
  im[created].by = c; im[created].during = may; im[created].inGap = (snapped && !gapOver);
  im[created].same = (c == 0 -> twin : !echo)
}

inline carryOut(c) {
  wire[c] = arrived;
  if
  :: !ie && anyOpen -> answer[c] = refused; met[c] = openOne; printf("story: Clerk refuses call %d: there is one already\n", c)
  :: else ->
     /* One mail for one invite. Another only by a lost call that arrives when the first invitation has been taken away. */
     assert(mails[who[c]] == 0 || ((late || forgetful) && takenAway && !ie));
     mails[who[c]]++;
     create(c); answer[c] = made
  fi
}

proctype Clerk() {
  byte c;
end:
  do
  :: atomic {
       if
       :: wire[1] == away -> c = 1
       :: wire[2] == away -> c = 2
       :: wire[3] == away -> c = 3
       :: wire[4] == away -> c = 4
       fi;
       if
       :: carryOut(c)
       :: losses > 0 -> losses--; wire[c] = dead; printf("story: call %d is lost\n", c)
       :: losses > 0 -> losses--; carryOut(c); answer[c] = silent; printf("story: the answer to call %d is lost\n", c)
       fi;
       c = 0
     }
  :: atomic { created >= 1 && !im[1].shown -> im[1].shown = true }      /* the list catches up */
  :: atomic { created >= 2 && !im[2].shown -> im[2].shown = true }
  :: atomic { created >= 3 && !im[3].shown -> im[3].shown = true }
  :: atomic { created >= 4 && !im[4].shown -> im[4].shown = true }
  :: atomic { created >= 5 && !im[5].shown -> im[5].shown = true }
  od
}

/* ---- time, people, Redis, and the end ---- */

#define passes(c) ((may & bit(c)) != 0 && carried(c) && allShown && reading == 0 && \
  !(r[who[c]].turn == c && r[who[c]].st == sending))

inline goBack() {
  r[A].st = was[A].st; r[A].why = was[A].why; r[A].turn = was[A].turn; r[A].absent = was[A].absent; r[A].upto = was[A].upto; r[A].hold = was[A].hold;
  r[A].inv = was[A].inv; r[A].wanted = was[A].wanted; r[A].watched = was[A].watched; r[A].gap = was[A].gap;
  r[B].st = was[B].st; r[B].why = was[B].why; r[B].turn = was[B].turn; r[B].absent = was[B].absent; r[B].upto = was[B].upto; r[B].hold = was[B].hold;
  r[B].inv = was[B].inv; r[B].wanted = was[B].wanted; r[B].watched = was[B].watched; r[B].gap = was[B].gap;
  noted = wasNoted; busy = wasBusy; before = may
}
inline remember() {
  was[A].st = r[A].st; was[A].why = r[A].why; was[A].turn = r[A].turn; was[A].absent = r[A].absent; was[A].upto = r[A].upto; was[A].hold = r[A].hold;
  was[A].inv = r[A].inv; was[A].wanted = r[A].wanted; was[A].watched = r[A].watched; was[A].gap = r[A].gap;
  was[B].st = r[B].st; was[B].why = r[B].why; was[B].turn = r[B].turn; was[B].absent = r[B].absent; was[B].upto = r[B].upto; was[B].hold = r[B].hold;
  was[B].inv = r[B].inv; was[B].wanted = r[B].wanted; was[B].watched = r[B].watched; was[B].gap = r[B].gap;
  wasNoted = noted; wasBusy = busy
}

#define lost(c) ((before & bit(c)) == 0 || carried(c))
#define oursOpen(k) (k <= created && im[k].by != 0 && im[k].is == open)
/* Each open invitation that we have made is a pending invite's, or its invite is parked: a person looks. */
#define maker(k) who[im[k].by]
#define known(k) (!oursOpen(k) || r[maker(k)].st == parked || (r[A].st == pending && r[A].inv == k) || (r[B].st == pending && r[B].inv == k))
#define only(k, l) (!oursOpen(k) || !oursOpen(l))
#define fulfilled(k) (!(k <= created && im[k].is == open) || !im[k].older)
#define must(ok, what) if :: ok :: else -> printf(what); assert(false) fi

/* What holds in the end. A run that has used up the calls is not judged. */
inline judge() {
  if
  :: n == most && (isOpen(A) || isOpen(B))
  :: else ->
     must(!isOpen(A) && !isOpen(B), "story: BROKEN: an invite never ends\n");
     must(known(1) && known(2) && known(3) && known(4) && known(5), "story: BROKEN: an invitation of ours is open, and no invite says so\n");
     must(only(1, 2) && only(1, 3) && only(1, 4) && only(1, 5) && only(2, 3) && only(2, 4) && only(2, 5) && only(3, 4) && only(3, 5) && only(4, 5),
       "story: BROKEN: two invitations of ours are open\n");
     must(!wished || byID || (fulfilled(1) && fulfilled(2) && fulfilled(3) && fulfilled(4) && fulfilled(5)),
       "story: BROKEN: what was there at the time of the wish is still open\n");
     must(!wished || r[A].st != pending, "story: BROKEN: what was to be revoked is pending\n");
     must(!wished || !younger[B] || strange || deed || r[B].st == pending || r[B].st == parked,
       "story: BROKEN: the invite that was asked for after the wish is not pending\n")
  fi
}

proctype Everybody() {
end:
  do
  :: atomic { passes(1) -> printf("story: call 1 is past its bound\n"); may = may & ~bit(1) }
  :: atomic { passes(2) -> printf("story: call 2 is past its bound\n"); may = may & ~bit(2) }
  :: atomic { passes(3) -> printf("story: call 3 is past its bound\n"); may = may & ~bit(3) }
  :: atomic { passes(4) -> printf("story: call 4 is past its bound\n"); may = may & ~bit(4) }

  :: atomic { r[A].st == none -> after[A] = epoch; younger[A] = wished; move(A, queued) } /* its producer insists */
  :: atomic { second && r[A].st != none && r[B].st == none && (!epochs || epoch) ->
       after[B] = epoch; younger[B] = wished; move(B, queued) }
  :: atomic { wish && !wished && r[A].st != none && (!epochs || epoch) ->
       wished = true; printf("story: a wish to revoke\n");
       im[1].older = (created >= 1); im[2].older = (created >= 2); im[3].older = (created >= 3);
       im[4].older = (created >= 4); im[5].older = (created >= 5);
       if /* The producer cancels what it finds, and leaves a request for the rest; it may die in between. */
       :: cancelable(A) -> cancel(A)
       :: !byID || !cancelable(A)
       fi }
  :: atomic { others && !strange && created < K -> strange = true; printf("story: somebody else invites\n"); create(0) }
  :: atomic { deeds && !deed && created >= 1 && im[1].is == open -> deed = true; printf("story: invitation 1 is accepted, or revoked by somebody else\n"); im[1].is = over; takenAway = true }
  :: atomic { deeds && !deed && created >= 2 && im[2].is == open -> deed = true; printf("story: invitation 2 is accepted, or revoked by somebody else\n"); im[2].is = over; takenAway = true }

  :: atomic { epochs && !snapped -> snapped = true; printf("story: Redis writes this down\n"); remember() }
  :: atomic { epochs && snapped && !epoch ->
       goBack(); printf("story: Redis goes back: invite 1 is %d, invite 2 is %d\n", r[A].st, r[B].st); epoch = (mut != EPOCH_UNNOTICED); recovering = epoch; epochs = false }
  :: atomic { epoch && !gapOver && lost(1) && lost(2) && lost(3) && lost(4) && allShown && reading == 0 -> printf("story: nothing forgotten can arrive any more\n"); gapOver = true }

  :: timeout -> judge(); break
  od
}

c_decl {
\#include <stdlib.h>
\#include <string.h>
static int has(const char *word) {
  const char *world = getenv("WORLD"), *at;
  int len = strlen(word);
  for (at = world ? strstr(world, word) : 0; at; at = strstr(at + 1, word))
    if ((at == world || at[-1] == ' ') && (at[len] == 0 || at[len] == ' ')) return 1;
  return 0;
}
}

init {
  c_code {
    now.ie = has("ie"); now.mark = has("mark"); now.late = has("late"); now.stall = has("stall");
    now.wish = has("wish"); now.byID = has("byID"); now.second = has("second"); now.others = has("others");
    now.twin = has("twin"); now.deeds = has("deeds"); now.epochs = has("epochs"); now.two = has("two");
    now.echo = has("echo"); now.forgetful = now.epochs; now.delays = 1; now.crashes = !has("calm"); now.most = now.second ? 4 : 3;
    now.mut = getenv("MUTANT") ? atoi(getenv("MUTANT")) : 0;
  };
  atomic {
    run Worker();
    if
    :: two -> run Worker()
    :: else
    fi;
    run Reader(); run Chores(); run Clerk(); run Everybody()
  }
}
