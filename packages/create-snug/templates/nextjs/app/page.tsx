import { Chat } from "./chat";

// The user chooses a name in the URL, as in /?name=ann. Your sign-in replaces this.
export default async function Page({ searchParams }: { searchParams: Promise<{ name?: string }> }) {
  const { name = `guest-${Math.floor(1000 + Math.random() * 9000)}` } = await searchParams;
  return <Chat name={name} />;
}
