import { Redex } from 'redexlog';

const redex = await Redex.open('./data');
const draft = await redex.channel('drafts/12');
await draft.append('written as a draft');

await redex.renameChannel('drafts/12', 'letters/12'); // closes `draft`
const letter = await redex.channel('letters/12', { createIfMissing: false });
console.log(`${letter.name} has ${letter.count} record`);

console.log('deleted', await redex.deleteChannel('letters/12')); // closes `letter`
console.log('deleted', await redex.deleteChannel('letters/12'));
await redex.close();
