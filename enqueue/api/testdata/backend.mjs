// Drives the operations on invitations by Clerk's own JavaScript SDK, of which nothing but
// the base URL and the key are changed. Prints what it saw as one JSON object.
import { createClerkClient } from '@clerk/backend';

const client = createClerkClient({ secretKey: process.env.API_TOKEN, apiUrl: process.env.API_URL });
const { invitations } = client;
const seen = {};
const failure = async promise => {
  try {
    await promise;
    return null;
  } catch (e) {
    return { status: e.status, code: e.errors?.[0]?.code, param: e.errors?.[0]?.meta?.paramName, trace: e.clerkTraceId };
  }
};

seen.created = await invitations.createInvitation({
  emailAddress: 'Grace@Example.com', publicMetadata: { plan: 'team', seatCount: 3 }, redirectUrl: 'https://app.example.com/welcome',
  expiresInDays: 7, notify: true, ignoreExisting: false, templateSlug: 'invitation',
});
const people = Array.from({ length: 12 }, (_, n) => ({ emailAddress: `p${n}@example.com`, publicMetadata: { place: n } }));
seen.bulk = await invitations.createInvitationBulk(people);

const until = Date.now() + 20_000;
do {
  await new Promise(r => setTimeout(r, 50));
  seen.list = await invitations.getInvitationList({ limit: 100, orderBy: '+email_address', status: 'pending' });
} while (seen.list.data.some(i => !i.id.startsWith('inv_')) && Date.now() < until);

seen.found = await invitations.getInvitationList({ query: seen.created.id });
seen.revoked = await invitations.revokeInvitation(seen.created.id);
seen.revokedByClerksID = await invitations.revokeInvitation(seen.list.data.find(i => i.emailAddress === 'p0@example.com').id);
seen.left = await invitations.getInvitationList();
seen.goneList = await invitations.getInvitationList({ status: 'revoked' });
seen.twice = await failure(invitations.revokeInvitation(seen.created.id));
seen.deleted = await invitations.deleteInvitation(seen.created.id);
seen.deletedTwice = await failure(invitations.deleteInvitation(seen.created.id));
seen.nobody = await failure(invitations.revokeInvitation('inq_nobody'));
seen.invalid = await failure(invitations.createInvitation({ emailAddress: 'nobody' }));
seen.stranger = await failure(createClerkClient({ secretKey: 'sk_test_nobody', apiUrl: process.env.API_URL }).invitations.getInvitationList());
console.log(JSON.stringify(seen));
