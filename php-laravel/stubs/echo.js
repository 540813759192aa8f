import Echo from "laravel-echo";
import { SnugConnector } from "snug-client/echo";

window.Echo = new Echo({
  broadcaster: SnugConnector,
  url: import.meta.env.VITE_SNUG_URL,
});
