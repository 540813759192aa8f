<?php
// A login as any site has one; that it asks for no password is all that it leaves out.
session_start();
session_regenerate_id(true);
$_SESSION['user'] = $_POST['user'];
$_SESSION['name'] = $_POST['name'];
