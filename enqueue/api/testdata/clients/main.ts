// Drives the API by the types that openapi-typescript has made of openapi.yaml.
import createClient from 'openapi-fetch';
import type { paths } from './inviteq.js';

declare const process: { env: Record<string, string>; exit(code: number): never };
const { GET, POST, DELETE } = createClient<paths>({
  baseUrl: process.env.API_URL + '/v1', headers: { Authorization: 'Bearer ' + process.env.API_TOKEN },
});

function must<T>(what: string, got: { data?: T; error?: unknown; response: Response }): T {
  if (got.data === undefined) {
    console.error(what, got.response.status, JSON.stringify(got.error));
    process.exit(1);
  }
  return got.data;
}
function check(is: boolean, what: string, got: unknown) {
  if (!is) {
    console.error(what, JSON.stringify(got));
    process.exit(1);
  }
}

const ada = must('create', await POST('/invitations', {
  params: { query: { wait: 20 }, header: { 'Idempotency-Key': 'order-2' } },
  body: { email_address: 'ada.ts@example.com', public_metadata: { plan: 'pro' } },
}));
check(ada.inviteq.state === 'pending' && ada.id.startsWith('inv_'), 'create', ada);
const bulk = must('bulk', await POST('/invitations/bulk', { body: [{ email_address: 'bob.ts@example.com' }] }));
check(bulk.length === 1, 'bulk', bulk);
const list = must('list', await GET('/invitations', { params: { query: { status: ['pending'], limit: 1 } } }));
check(Array.isArray(list) && list.length === 1, 'list', list);
const invite = must('status', await GET('/invites/{id}', { params: { path: { id: 'order-2' } } }));
check(invite.invitation_id === ada.id && invite.eta === null, 'status', invite);
const made = must('import', await POST('/imports', {
  params: { query: { name: 'march.csv' } },
  body: 'email\ndee.ts@example.com\n', bodySerializer: body => body, headers: { 'Content-Type': 'text/csv' },
}));
check(made.admitted === 1, 'import', made);
const state = must("import's state", await GET('/imports/{id}', { params: { path: { id: made.id } } }));
check(state.total === 1, "import's state", state);
let after = '0';
for (const changed = new Set<string>(); !changed.has('order-2');) {
  const page = must('events', await GET('/events', { params: { query: { after, limit: 1, state: ['pending'], wait: 20 } } }));
  check(page.data.length === 1 && !changed.has(page.data[0]!.invite_id), 'events', page);
  changed.add(page.data[0]!.invite_id);
  after = page.next;
}
const lost = await GET('/events', { params: { query: { after: '1-1' } } });
check(lost.response.status === 410 && lost.error?.errors[0]?.code === 'position_gone', 'a position that is gone', lost.error);
const taken = must('revoke', await POST('/invitations/{id}/revoke', { params: { path: { id: ada.id }, query: { wait: 20 } } }));
check(taken.revoked === true, 'revoke', taken);
const gone = must('delete', await DELETE('/invitations/{id}', { params: { path: { id: ada.id } } }));
check(gone.deleted, 'delete', gone);
const { error, response } = await POST('/invitations', { body: { email_address: 'nobody' } });
check(response.status === 422 && error?.errors[0]?.meta?.['param_name'] === 'email_address', 'an error', error);
console.log('done');
