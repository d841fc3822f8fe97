// Drives every operation on invitations by Clerk's own JavaScript SDK. Prints what
// it saw as one JSON object.
import { createClerkClient } from '@clerk/backend';

const connect = secretKey => createClerkClient({ secretKey, apiUrl: process.env.API_URL }).invitations;
const invitations = connect(process.env.API_KEY);
const seen = {};
const failure = async promise => {
  try {
    return { value: await promise };
  } catch (e) {
    return { status: e.status, code: e.errors?.[0]?.code, param: e.errors?.[0]?.meta?.paramName, trace: e.clerkTraceId, retryAfter: e.retryAfter };
  }
};

seen.created = await invitations.createInvitation({ emailAddress: 'ada@example.com', publicMetadata: { plan: 'team', seatCount: 3 }, expiresInDays: 7 });
seen.bulk = await invitations.createInvitationBulk(['b', 'c', 'd'].map(n => ({ emailAddress: `${n}@example.com` })));
seen.duplicate = await failure(invitations.createInvitation({ emailAddress: 'ada@example.com' }));
seen.invalid = await failure(invitations.createInvitation({ emailAddress: 'nobody' }));
seen.list = await invitations.getInvitationList({ orderBy: '+email_address', limit: 2 });
seen.found = await invitations.getInvitationList({ query: 'ada@example.com' });
seen.revoked = await invitations.revokeInvitation(seen.created.id);
seen.twice = await failure(invitations.revokeInvitation(seen.created.id));
seen.gone = await invitations.getInvitationList({ status: 'revoked' });
seen.deleted = await failure(invitations.deleteInvitation(seen.created.id));
seen.deletedTwice = await failure(invitations.deleteInvitation(seen.created.id));
seen.goneNow = await invitations.getInvitationList({ status: 'revoked' });
seen.nobody = await failure(invitations.revokeInvitation('inv_nobody'));
seen.stranger = await failure(connect('sk_test_nobody').getInvitationList());
seen.eleven = await failure(invitations.createInvitationBulk(Array.from({ length: 11 }, (_, n) => ({ emailAddress: `p${n}@example.com` }))));
seen.throttled = await failure(invitations.createInvitation({ emailAddress: 'e@example.com' }));
console.log(JSON.stringify(seen));
