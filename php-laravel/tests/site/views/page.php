<!doctype html>
<html lang="en">
<title>Orders</title>
<meta name="csrf-token" content="<?= csrf_token() ?>">
<script type="module" src="/echo.js"></script>
</html>
